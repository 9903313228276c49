"""What a comparison of runs leaves: files and tables of its differences.

comparison.json   as `paired.compare` returns it, with what the runs were compared on
comparison.csv    the same, one row per run, head, and metric or label
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text

from mrm_jax.metrics import names as metric_names
from mrm_jax.metrics import significance
from mrm_jax.reports import heads
from mrm_jax.runtime import atomic

JSON_FILE = "comparison.json"
CSV_FILE = "comparison.csv"
SHOWN_HEAD = "mean"  # first, and the labels' only one; the files have all
MAX_LABELS = 30
COLUMNS = tuple(
    "a b head label metric value_a value_b difference low high p_value p_holm".split()
)


def write(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes both files."""
    with atomic.replacing(folder / CSV_FILE) as temporary:
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(_rows(result))
    with atomic.replacing(folder / JSON_FILE) as temporary:
        temporary.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


def _rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for other in result["others"]:
        names = {"a": result["a"]["workdir"], "b": other["b"]["workdir"]}
        for entry in ({"label": "", "heads": other["heads"]}, *other["labels"]):
            for head, of_head in entry["heads"].items():
                for metric, found in of_head.items():
                    where = {"head": head, "label": entry["label"], "metric": metric}
                    yield names | where | _cells(found)


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
    """Prints two tables for each other run, of all metrics and of the labels."""
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
            console.print(line, style="bold", markup=False, soft_wrap=True)
        console.print(_overall(result, other, letter))
        console.print(_by_label(result, other, letter))


def _overall(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> rich.table.Table:
    said = result["intervals"]
    caption = said["note"] or (
        f"{letter} - A: above 0, {letter} is the better one; with its "
        f"{100 * said['level']:g} % interval of {said['resamples']:,} resamples (seed "
        f"{said['seed']}); p: two-sided"
    )
    table = _table(
        "all labels", caption, ["", "A", letter, f"{letter} - A", "interval", "p"]
    )
    for head in sorted(other["heads"], key=lambda head: head != SHOWN_HEAD):
        of_head = other["heads"][head]
        table.add_section()
        table.add_row(rich.text.Text(f"{head} score", style="bold"))
        for metric, name in metric_names.known(of_head):
            table.add_row(name, *_texts(of_head[metric]))
    return table


def _by_label(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> rich.table.Table:
    labels = other["labels"]
    shown = sorted(labels, key=_p_of)[:MAX_LABELS]
    which = (
        "" if len(shown) == len(labels) else f", {MAX_LABELS} lowest p of {len(labels)}"
    )
    names = ["", "records", "A", letter, f"{letter} - A", "interval", "p", "p (Holm)"]
    said = result["intervals"]
    adjusted = f"p (Holm): adjusted for {said['num_adjusted']} labels"
    caption = "\n".join((adjusted, *significance.notes(said)))
    table = _table(f"AUC by label, {SHOWN_HEAD} score{which}", caption, names)
    for entry in labels:
        if entry in shown:
            found = entry["heads"][SHOWN_HEAD]["auc"]
            count = f"{entry['positive_records']:,}"
            table.add_row(
                rich.text.Text(entry["label"]),
                count,
                *_texts(found),
                _p_text(found["p_holm"]),
            )
    return table


def _p_of(entry: Mapping[str, Any]) -> float:
    p = entry["heads"][SHOWN_HEAD]["auc"]["p_value"]
    return 2.0 if p is None else p


def _table(title: str, caption: str, columns: list[str]) -> rich.table.Table:
    table = rich.table.Table(
        title=rich.text.Text(title, style="bold"),
        caption=rich.text.Text(caption),
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def _describe(letter: str, run: Mapping[str, Any]) -> str:
    said = f"{letter}: {run['workdir']}, seed {run['seed']}, epoch {run['epoch']}"
    notice = heads.notice(run.get("untrained", ()))
    return f"{said}; {notice}" if notice else said


def _texts(found: Mapping[str, Any]) -> list[str]:
    """Returns A, B, difference, interval and p as they are shown."""
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
