"""Predictions as a table in the terminal, as CSV and as JSON."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax import atomic, prediction

SUFFIXES = (".csv", ".json")
FEW = 3  # records that are shown with their scores
MOST_ROWS = 40  # of more records
NAME_WIDTH = 32

# A record's file, and what is said of it or why nothing is.
Results = Sequence[tuple[Path, prediction.Prediction | ValueError]]


def check_suffix(path: Path) -> None:
    """Refuses a file that could not be written at the end.

    Raises:
        ValueError: if its ending is none of `SUFFIXES` or its folder is not there.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a file ending in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")


def write(
    path: Path, results: Results, about: Mapping[str, Any], windows: bool
) -> None:
    """Writes all results; the ending decides how.

    CSV has a row for each record, and where asked one for each of its windows, which
    `window_start_s` tells. JSON has the same, and the scores of both branches.

    Args:
        path: of the file, replaced at once when all is written.
        results: of each record.
        about: the run and what was asked of it; "labels" names the columns.
        windows: write each window's scores as well.
    """
    with atomic.replacing(path) as temporary:
        if path.suffix == ".json":
            records = [_entry(file, result, windows) for file, result in results]
            text = json.dumps({**about, "records": records}, indent=1)
            temporary.write_text(text + "\n")
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            before = "record file window_start_s duration_s num_windows found".split()
            columns = [*before, *about["labels"], "notes", "error"]
            table = csv.DictWriter(file, columns)
            table.writeheader()
            for source, result in results:
                table.writerows(_rows(_entry(source, result, windows), about["head"]))


def lines(results: Results, top: int, windows: bool) -> Iterator[str]:
    """Yields what a terminal shows: few records with scores, of more a row each.

    Args:
        results: of each record; those without a prediction come last.
        top: the scores shown beside the findings.
        windows: show each window's findings, of few records.
    """
    done = [r for _, r in results if isinstance(r, prediction.Prediction)]
    if len(done) <= FEW:
        for one in done:
            yield prediction.table(one, top)
            yield from _window_lines(one) if windows else ()
    else:
        yield from _summary(done)
    failed = [(path, r) for path, r in results if isinstance(r, ValueError)]
    if failed:
        yield f"not scored: {len(failed):,} of {len(results):,}"
        yield from (f"  {path}: {reason}" for path, reason in failed)


def _entry(
    path: Path, result: prediction.Prediction | ValueError, windows: bool
) -> dict[str, Any]:
    if isinstance(result, ValueError):
        return {"record": path.stem, "file": str(path), "error": str(result)}
    return {**result.to_dict(windows), "file": str(path), "error": None}


def _rows(entry: Mapping[str, Any], head: str) -> Iterator[dict[str, Any]]:
    """Yields the CSV's rows of one entry of the JSON."""
    named = {key: entry[key] for key in ("record", "file", "error")}
    if entry["error"] is not None:
        yield named
        return
    yield named | {
        "duration_s": entry["duration_s"],
        "num_windows": entry["num_windows"],
        "found": "; ".join(entry["found"]),
        "notes": "; ".join(entry["notes"]),
        **entry["scores"][head],
    }
    for window in entry.get("windows", ()):
        yield named | {"window_start_s": window["start_s"], **window["scores"]}


def _summary(done: Sequence[prediction.Prediction]) -> Iterator[str]:
    counts = Counter(label for one in done for label in one.found)
    nothing = sum(not one.found for one in done)
    listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
    width = min(NAME_WIDTH, max(len(one.name) for one in done))
    yield f"{'record':<{width}}  {'length':>8}  found"
    for one in done[:MOST_ROWS]:
        yield f"{one.name:<{width}}  {one.duration_s:>6.1f} s  {_findings(one)}"
        yield from (f"{'':<{width}}  note: {note}" for note in one.notes)
    if len(done) > MOST_ROWS:
        yield f"and {len(done) - MOST_ROWS:,} more; --out FILE.csv has them all"
    yield f"found in: {listed or 'none'}; nothing in {nothing:,} of {len(done):,}"


def _findings(one: prediction.Prediction) -> str:
    scores = one.scores
    found = ", ".join(f"{label} {scores[label]:.3f}" for label in one.found)
    best = max(scores, key=lambda label: scores[label])
    return found or f"nothing; highest {best} {scores[best]:.3f}"


def _window_lines(one: prediction.Prediction) -> Iterator[str]:
    for start, scores in zip(
        one.window_starts_s, one.window_scores[one.head], strict=True
    ):
        of_label = dict(zip(one.labels, scores, strict=True))
        found = [n for n in one.labels if of_label[n] >= one.thresholds[n]]
        listed = ", ".join(f"{label} {of_label[label]:.3f}" for label in found)
        yield f"  from {start:g} s: {listed or 'nothing'}"
