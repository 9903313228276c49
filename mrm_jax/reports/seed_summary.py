"""Metrics averaged over runs that differ in their seed, as files and as a table.

seeds.json   the runs, and each metric's mean, standard deviation and values by head
seeds.csv    one row per head and metric, one column per run
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich.console

from mrm_jax.metrics import names, seeds
from mrm_jax.reports import tables
from mrm_jax.runtime import atomic, text

JSON_FILE = "seeds.json"
CSV_FILE = "seeds.csv"


def write(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes both files from the result of `seeds.summarise` and added metadata."""
    columns = [f"seed_{run['seed']}" for run in summary["runs"]]
    with atomic.replacing(folder / CSV_FILE) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            text.write_rows(file, [["head", "metric", "mean", "sd", *columns]])
            for head, of_head in summary["heads"].items():
                for metric, found in of_head.items():
                    numbers = (found["mean"], found["sd"], *found["values"])
                    text.write_rows(file, [[head, metric, *numbers]])
    with atomic.replacing(folder / JSON_FILE) as temporary:
        temporary.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n")


def print_table(summary: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints the mean and standard deviation of each metric, then the runs."""
    facts, heads = summary["facts"], summary["heads"]
    count = len(summary["runs"])
    title = (
        f"{facts['data_set']}, version {facts['data_set_version']}, label set "
        f"{facts['label_set']}: {facts['records']:,} {facts['split']} records\n"
        f"mean ± standard deviation (n - 1) of {count} seeds"
    )
    table = tables.new(title)
    table.add_column("")
    tables.add_numbers(table, *heads)
    for metric, title in names.compared(next(iter(heads.values()))).items():
        table.add_row(title, *(_text(of_head[metric]) for of_head in heads.values()))
    tables.show(table, console)
    for run in summary["runs"]:
        line = f"seed {run['seed']}: epoch {run['epoch']} of {run['workdir']}"
        tables.say(line, console)


def _text(found: Mapping[str, Any]) -> str:
    return "-" if found["mean"] is None else seeds.text(found)
