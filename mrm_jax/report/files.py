"""What a finished run leaves of its test fold: numbers and scores.

report.json   facts of the run and the metrics of the test and validation splits;
              written last, so that it stands for a finished run
report.csv    one row per label of the test split
scores.npz    record names, labels and scores of the test split; not pickled
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax import atomic, cpsc_score, metrics, types

JSON_FILE = "report.json"
CSV_FILE = "report.csv"
SCORES_FILE = "scores.npz"
# Without these a number cannot be traced to what it was measured on.
REQUIRED_FACTS = tuple(
    "data_set data_set_version label_set records seed epoch command".split()
)


def write(
    workdir: Path | str,
    facts: Mapping[str, Any],
    label_names: Sequence[str],
    descriptions: Sequence[str],
    test: types.SplitScores,
    val: types.SplitScores,
) -> dict[str, Any]:
    """Writes all files of a report and returns what report.json holds.

    Args:
        workdir: a folder that exists.
        facts: what the numbers depend on, in types that JSON knows: at least
            REQUIRED_FACTS; configuration, versions of tools, ... as well.
        label_names: [label].
        descriptions: [label], plain text.
        test: scores of the test split.
        val: scores of the validation split, on which thresholds are chosen.

    Raises:
        ValueError: if a required fact is missing, names do not fit the labels, or
            scores are none (`metrics.check`).
    """
    workdir = Path(workdir)
    missing = [name for name in REQUIRED_FACTS if name not in facts]
    if missing:
        raise ValueError(f"expected the facts {REQUIRED_FACTS}, missing {missing}")
    num_labels = test.labels.shape[1]
    if {len(label_names), len(descriptions)} != {num_labels}:
        raise ValueError(
            f"expected names and descriptions of {num_labels} labels, "
            f"found {len(label_names)} and {len(descriptions)}"
        )
    report = _without_nan(
        {"facts": facts, "num_labels": num_labels, **evaluate(test, val)}
    )
    _write_scores(workdir / SCORES_FILE, label_names, test)
    _write_csv(workdir / CSV_FILE, label_names, descriptions, test)
    with atomic.replacing(workdir / JSON_FILE) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return report


def exists(workdir: Path | str) -> bool:
    """Returns whether a run has its report, which is written last."""
    return (Path(workdir) / JSON_FILE).is_file()


def discard(workdir: Path | str) -> None:
    """Removes the report of a run that goes on: it would stand for a finished one."""
    (Path(workdir) / JSON_FILE).unlink(missing_ok=True)


def read(workdir: Path | str) -> dict[str, Any]:
    """Returns what report.json of a finished run holds.

    Raises:
        ValueError: if the run has no report.
    """
    path = Path(workdir) / JSON_FILE
    if not exists(workdir):
        raise ValueError(f"{path}: not found; the run is not finished, train it first")
    return json.loads(path.read_text())


def evaluate(
    test: types.SplitScores, val: types.SplitScores
) -> dict[str, dict[str, Any]]:
    """Returns "test" and "val", each with the metrics of high, low and mean.

    The official CPSC2018 score is among them where all first labels are known.
    """
    of_val = {head: _evaluate_head(val, scores) for head, scores in val.heads.items()}
    of_test = {
        head: _evaluate_head(test, scores, of_val[head]["fmax_threshold"])
        for head, scores in test.heads.items()
    }
    return {"test": of_test, "val": of_val}


def _evaluate_head(
    split: types.SplitScores, scores: np.ndarray, val_threshold: float | None = None
) -> dict[str, Any]:
    result: dict[str, Any] = metrics.evaluate(scores, split.labels, val_threshold)
    first_label = split.first_label
    if first_label is not None and (first_label >= 0).all():
        result |= cpsc_score.evaluate(scores, split.labels, first_label)
    return result


def _write_scores(
    path: Path, label_names: Sequence[str], test: types.SplitScores
) -> None:
    arrays = {
        "names": np.asarray(test.names, np.str_),
        "labels": test.labels.astype(np.uint8),
        "label_names": np.asarray(label_names, np.str_),
        **test.heads,
    }
    if test.first_label is not None:
        arrays["first_label"] = test.first_label
    with atomic.replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def _write_csv(
    path: Path,
    label_names: Sequence[str],
    descriptions: Sequence[str],
    test: types.SplitScores,
) -> None:
    """Writes one row per label; a metric that is not defined is an empty cell."""
    columns: dict[str, Sequence[Any]] = {
        "label": label_names,
        "description": descriptions,
        "positive_records": test.labels.sum(axis=0).astype(int).tolist(),
    }
    for head, scores in test.heads.items():
        of_label = metrics.evaluate_labels(scores, test.labels)
        columns[f"auc_{head}"] = _to_cells(of_label.auc)
        columns[f"average_precision_{head}"] = _to_cells(of_label.average_precision)
        columns[f"f1_{head}"] = _to_cells(of_label.f1)
    with atomic.replacing(path) as temporary:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))


def _to_cells(values: np.ndarray) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.6f}" for value in values]


def _without_nan(value: Any) -> Any:
    """Returns the value with None for each number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
