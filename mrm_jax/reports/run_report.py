"""The report of an evaluated run, as files of numbers and scores.

report.json   metadata of the run and all its numbers (`summary.summarise`); written
              last, so its presence means that the run is finished
metrics.csv   one row per metric of the whole split and head, calibration included:
              metric, head, value, interval_low, interval_high
report.csv    one row per label: label, description, positive_records, and for each head
              METRIC_HEAD, METRIC_HEAD_low and METRIC_HEAD_high for each of
              `summary.LABEL_METRICS`, and threshold_HEAD
scores.npz    record names, labels and scores of the split; not pickled

Cells are empty where a number or an interval is not defined. The thresholds of a run
have a file of their own, see `thresholds_file`.
"""

import json
import math
import shlex
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax.metrics import scores as scores_lib
from mrm_jax.metrics import summary
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.runtime import atomic, json_files, text

JSON_FILE = "report.json"
CSV_FILE = "report.csv"
METRICS_FILE = "metrics.csv"
SCORES_FILE = "scores.npz"
# Without this metadata, a number cannot be traced to the data it was measured on.
REQUIRED_FACTS = tuple(
    "data_set data_set_version label_set records seed epoch command".split()
)


class _Content(typing.TypedDict):
    """The content of report.json; "test" or the name of another split comes with it."""

    facts: dict[str, Any]
    num_labels: int
    intervals: dict[str, Any]
    labels: list[dict[str, Any]]
    calibration: dict[str, dict[str, Any]]


def compose(
    facts: Mapping[str, Any],
    label_names: Sequence[str],
    descriptions: Sequence[str],
    evaluated: summary.Evaluated,
) -> dict[str, Any]:
    """Returns the content of report.json for an evaluated split.

    Args:
        facts: metadata on which the numbers depend, in types that JSON supports: at
            least REQUIRED_FACTS, and for example the configuration and versions of
            tools. "split" is added, and "evaluated_on" as None if it is missing.
        label_names: [label], names of the labels.
        descriptions: [label], plain text.
        evaluated: scores of the split, and thresholds.

    Raises:
        ValueError: if required metadata is missing, the names do not fit the labels, or
            the scores are invalid (`classification.check`).
    """
    _check(facts, label_names, descriptions, evaluated.scores)
    return without_nan(
        {
            "facts": {"evaluated_on": None, **facts, "split": evaluated.split},
            "num_labels": len(label_names),
            **summary.summarise(evaluated, label_names, descriptions),
        }
    )


def write(folder: Path | str, report: Mapping[str, Any], scores: SplitScores) -> None:
    """Writes the files of a report, report.json last.

    Args:
        folder: existing folder.
        report: content from `compose`.
        scores: scores of the split that the report describes.
    """
    folder, facts = Path(folder), report["facts"]
    names = [label["label"] for label in report["labels"]]
    write_scores(folder / SCORES_FILE, names, scores)
    _write_csv(folder / METRICS_FILE, _metric_rows(report, facts["split"]))
    _write_csv(folder / CSV_FILE, map(_label_row, report["labels"]))
    write_json(folder, report)


def write_json(folder: Path, report: Mapping[str, Any]) -> None:
    """Writes report.json, with a checksum."""
    with atomic.replacing(folder / JSON_FILE) as temporary:
        sealed = json_files.sealed(report)
        temporary.write_text(json.dumps(sealed, indent=1, allow_nan=False) + "\n")


def _check(
    facts: Mapping[str, Any],
    label_names: Sequence[str],
    descriptions: Sequence[str],
    scores: SplitScores,
) -> None:
    missing = [name for name in REQUIRED_FACTS if name not in facts]
    if missing:
        raise ValueError(
            f"The metadata lacks {missing}. Pass at least {', '.join(REQUIRED_FACTS)}."
        )
    num_labels = scores.labels.shape[1]
    if {len(label_names), len(descriptions)} != {num_labels}:
        raise ValueError(
            f"expected names and descriptions of {num_labels} labels, "
            f"found {len(label_names)} and {len(descriptions)}"
        )


def exists(workdir: Path | str) -> bool:
    """Returns whether a run has a report, which is written last."""
    return (Path(workdir) / JSON_FILE).is_file()


def read(workdir: Path | str) -> dict[str, Any]:
    """Returns the content of report.json of a finished run.

    Raises:
        ValueError: if the run has no report, or it is damaged.
    """
    path = Path(workdir) / JSON_FILE
    if not exists(workdir):
        raise ValueError(
            f"{path} was not found: the run is not finished. Train it to the end first."
        )
    advice = _advice(path)
    report = json_files.unsealed(json_files.load(path, advice), path, advice)
    json_files.convert(report, _Content, path, advice)
    missing = [name for name in REQUIRED_FACTS if name not in report["facts"]]
    if missing:
        why = f"it lacks the metadata {', '.join(missing)}"
        raise json_files.damaged(path, why, advice)
    return report


def read_scores(workdir: Path | str) -> SplitScores:
    """Returns the scores that were stored with a report.

    Raises:
        ValueError: if the file is missing or damaged.
    """
    path = Path(workdir) / SCORES_FILE
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)  # compares CRC-32 checksums
            has_two = any(name in stored for name in scores_lib.BRANCHES)
            heads = scores_lib.BRANCHES if has_two else (scores_lib.MEAN,)
            return SplitScores(
                stored["names"],
                stored["labels"],
                {head: stored[head] for head in heads},
                stored["first_label"] if "first_label" in stored else None,
            )
    except Exception as error:  # NumPy raises almost anything for damaged files
        raise json_files.damaged(path, str(error), _advice(path)) from None


def _advice(path: Path) -> str:
    run = shlex.quote(str(path.parent))
    return f"Write it again with `python -m mrm_jax.evaluate --run {run}`."


def write_scores(path: Path, label_names: Sequence[str], split: SplitScores) -> None:
    """Writes scores.npz, which `read_scores` reads.

    Args:
        path: the file.
        label_names: [label], names of the labels.
        split: scores of a split.
    """
    arrays = {
        "names": np.asarray(split.names, np.str_),
        "labels": split.labels.astype(np.uint8),
        "label_names": np.asarray(label_names, np.str_),
        **split.heads,
    }
    if split.first_label is not None:
        arrays["first_label"] = split.first_label
    with atomic.replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def _metric_rows(report: Mapping[str, Any], split: str) -> Iterable[dict[str, Any]]:
    """Returns the rows of metrics.csv."""
    for head, overall in report[split].items():
        of_head = report["calibration"][head]
        names = ("temperature", *summary.CALIBRATION)
        values = overall | {name: of_head[name] for name in names}
        ends = dict(report["intervals"]["heads"][head])
        ends |= {name: of_head.get(f"{name}_interval") for name in names}
        for name, value in values.items():
            low, high = ends[name] or (None, None)
            yield {
                "metric": name,
                "head": head,
                "value": value,
                "interval_low": low,
                "interval_high": high,
            }


def _label_row(label: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row of report.csv."""
    row = {name: label[name] for name in ("label", "description", "positive_records")}
    for head, values in label["heads"].items():
        for name in summary.LABEL_METRICS:
            low, high = values[f"{name}_interval"] or (None, None)
            row[f"{name}_{head}"] = values[name]
            row[f"{name}_{head}_low"], row[f"{name}_{head}_high"] = low, high
        row[f"threshold_{head}"] = values["threshold"]
    return row


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows of the same columns; None is an empty cell."""
    lines = [{name: _cell(value) for name, value in row.items()} for row in rows]
    with atomic.replacing(path) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            text.write_table(file, list(lines[0]), lines)


def _cell(value: Any) -> Any:
    return f"{value:.6f}" if isinstance(value, float) else value


def without_nan(value: Any) -> Any:
    """Returns the value with None for each number that JSON cannot store."""
    if isinstance(value, Mapping):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
