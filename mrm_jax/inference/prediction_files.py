"""Writes the results of a prediction as a table or as JSON."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mrm_jax.inference.prediction import Prediction, Results
from mrm_jax.runtime import atomic, text

SUFFIXES = (".csv", ".json")
# The columns of a CSV file, before and after those of the labels.
BEFORE = "record file window_start_s duration_s num_windows found".split()
AFTER = ["notes", "error"]


def check_suffix(path: Path) -> None:
    """Checks that an output file can be written, before anything is computed.

    Raises:
        ValueError: if its suffix is not one of `SUFFIXES` or its folder does not exist.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a file ending in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ValueError(
            f"{path}: the folder {path.parent} does not exist. Create it first."
        )


def write(
    path: Path, results: Results, about: Mapping[str, Any], windows: bool
) -> None:
    """Writes all results as CSV or JSON, by the suffix of the path.

    CSV has a row for each record and, optionally, for each of its windows, which have a
    `window_start_s`. JSON has the same, and the scores of both branches.

    Args:
        path: output file, replaced atomically.
        results: result of each record.
        about: description of the run and the options; "labels" names the columns.
        windows: whether to write the scores of each window too.
    """
    with atomic.replacing(path) as temporary:
        if path.suffix == ".json":
            records = [_entry(file, result, windows) for file, result in results]
            content = json.dumps({**about, "records": records}, indent=1)
            temporary.write_text(content + "\n")
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            columns = [*BEFORE, *map(_column, about["labels"]), *AFTER]
            rows = (
                row
                for source, result in results
                for row in _rows(_entry(source, result, windows), about["head"])
            )
            text.write_table(file, columns, rows)


def _entry(
    path: Path, result: Prediction | ValueError, windows: bool
) -> dict[str, Any]:
    if isinstance(result, ValueError):
        return {"record": path.stem, "file": str(path), "error": str(result)}
    return {**result.to_dict(windows), "file": str(path), "error": None}


def _rows(entry: Mapping[str, Any], head: str) -> Iterator[dict[str, Any]]:
    """Yields the CSV rows of one JSON entry."""
    named = {key: entry[key] for key in ("record", "file", "error")}
    if entry["error"] is not None:
        yield named
        return
    yield named | {
        "duration_s": entry["duration_s"],
        "num_windows": entry["num_windows"],
        "found": "; ".join(entry["found"]),
        "notes": "; ".join(entry["notes"]),
        **_columns(entry["scores"][head]),
    }
    for window in entry.get("windows", ()):
        start = {"window_start_s": window["start_s"]}
        yield named | start | _columns(window["scores"])


def _columns(scores: Mapping[str, float]) -> dict[str, float]:
    return {_column(label): score for label, score in scores.items()}


def _column(label: str) -> str:
    """Returns the name of a label's column, which no other column has."""
    return f"score of {label}" if label in (*BEFORE, *AFTER) else label
