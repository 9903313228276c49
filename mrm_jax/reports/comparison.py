"""The differences between runs, as files and as tables in the terminal.

comparison.json   the result of `paired.compare` and the data set of its scores
comparison.csv    the same, one row per run, head, and metric or label
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import rich.console
import rich.table
import rich.text

from mrm_jax.metrics import names
from mrm_jax.reports import caveats, tables
from mrm_jax.runtime import atomic, text

JSON_FILE = "comparison.json"
CSV_FILE = "comparison.csv"
PRIMARY_HEAD = "mean"  # shown first, and the only one for labels; files have all
MAX_LABELS = 30
COLUMNS = tuple(
    "a b head label metric value_a value_b difference low high p_value p_holm".split()
)


def write(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes both files."""
    with atomic.replacing(folder / CSV_FILE) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            text.write_table(file, COLUMNS, _rows(result))
    with atomic.replacing(folder / JSON_FILE) as temporary:
        temporary.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


def _rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for other in result["others"]:
        runs = {"a": result["a"]["workdir"], "b": other["b"]["workdir"]}
        for entry in ({"label": "", "heads": other["heads"]}, *other["labels"]):
            for head, of_head in entry["heads"].items():
                for metric, found in of_head.items():
                    where = {"head": head, "label": entry["label"], "metric": metric}
                    yield runs | where | _cells(found)


def _cells(found: Mapping[str, Any]) -> dict[str, Any]:
    low, high = found["interval"] or (None, None)
    return {
        "value_a": found["a"],
        "value_b": found["b"],
        "low": low,
        "high": high,
        **{n: found.get(n) for n in ("difference", "p_value", "p_holm")},
    }


def print_tables(result: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints a table of all metrics and a table of all labels for each later run."""
    facts = result["facts"]
    lines = [
        f"{facts['data_set']}, version {facts['data_set_version']}, label set "
        f"{facts['label_set']}: {facts['records']:,} {facts['split']} records",
        _describe("A", result["a"]),
    ]
    for number, other in enumerate(result["others"]):
        letter = chr(ord("B") + number)
        for line in (*lines, _describe(letter, other["b"])):
            # Not the table's title, which would fold paths.
            tables.say(line, console, style="bold")
        tables.show(_overall(result, other, letter), console)
        tables.show(_by_label(result, other, letter), console)


def _overall(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> rich.table.Table:
    intervals = result["intervals"]
    caption = intervals["note"] or (
        f"{letter} - A: positive differences favour {letter}; "
        f"{100 * intervals['level']:g} % bootstrap interval, "
        f"{intervals['resamples']:,} resamples, seed {intervals['seed']}; two-sided p"
    )
    table = _table(
        "all labels", caption, ["", "A", letter, f"{letter} - A", "interval", "p"]
    )
    for head in sorted(other["heads"], key=lambda head: head != PRIMARY_HEAD):
        of_head = other["heads"][head]
        table.add_section()
        table.add_row(rich.text.Text(f"{head} score", style="bold"))
        for metric, title in names.compared(of_head).items():
            table.add_row(title, *_texts(of_head[metric]))
    return table


def _by_label(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> rich.table.Table:
    labels = other["labels"]
    shown = sorted(labels, key=_p_of)[:MAX_LABELS]
    which = ""
    if len(shown) < len(labels):
        which = f"; the {MAX_LABELS} lowest p-values of {len(labels)}"
    columns = ["", "records", "A", letter, f"{letter} - A", "interval", "p", "p (Holm)"]
    intervals = result["intervals"]
    adjusted = f"p (Holm): adjusted for {intervals['num_adjusted']} labels"
    caption = "\n".join((adjusted, *caveats.p_values(intervals)))
    table = _table(f"AUC per label, {PRIMARY_HEAD} score{which}", caption, columns)
    for entry in labels:
        if entry in shown:
            found = entry["heads"][PRIMARY_HEAD]["auc"]
            count = f"{entry['positive_records']:,}"
            table.add_row(
                rich.text.Text(entry["label"]),
                count,
                *_texts(found),
                _p_text(found["p_holm"]),
            )
    return table


def _p_of(entry: Mapping[str, Any]) -> float:
    p = entry["heads"][PRIMARY_HEAD]["auc"]["p_value"]
    return 2.0 if p is None else p


def _table(title: str, caption: str, columns: list[str]) -> rich.table.Table:
    table = tables.new(title, caption)
    table.add_column(columns[0])
    tables.add_numbers(table, *columns[1:])
    return table


def _describe(letter: str, run: Mapping[str, Any]) -> str:
    text = f"{letter}: {run['workdir']}, seed {run['seed']}, epoch {run['epoch']}"
    caveat = caveats.untrained(run.get("untrained", ()))
    return f"{text}; {caveat}" if caveat else text


def _texts(found: Mapping[str, Any]) -> list[str]:
    """Returns the cells of a row: A, B, difference, interval and p."""
    values = ["-" if found[n] is None else f"{found[n]:.3f}" for n in ("a", "b")]
    difference = found["difference"]
    interval = found["interval"]
    return [
        *values,
        "-" if difference is None else f"{difference:+.3f}",
        "-" if interval is None else "{:+.3f} {:+.3f}".format(*interval),
        _p_text(found["p_value"]),
    ]


def _p_text(p: float | None) -> str:
    return "-" if p is None else f"{p:.3f}"
