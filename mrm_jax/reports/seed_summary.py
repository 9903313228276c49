"""One setting trained from several seeds: mean and standard deviation of its metrics.

seeds.json   the runs, and each metric's mean, deviation and values by head
seeds.csv    one row per head and metric, one column per run
"""

import csv
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text

from mrm_jax.metrics import names
from mrm_jax.runtime import atomic

JSON_FILE = "seeds.json"
CSV_FILE = "seeds.csv"


def summarise(
    runs: Sequence[Mapping[str, Any]],
    observed: Sequence[Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any]:
    """Returns what runs of several seeds reach together.

    Args:
        runs: [run], what tells them apart: workdir, seed, epoch.
        observed: [run], metrics by head, as `paired.observe` returns them.

    Returns:
        runs: as given.
        heads: by head and metric `mean`, `sd` (with n - 1) and `values` [run]; mean and
            sd are None where a run has no value.

    Raises:
        ValueError: if there are fewer than two runs.
    """
    if len(runs) < 2:
        raise ValueError(f"expected runs of two seeds or more, found {len(runs)}")
    first = observed[0]
    return {
        "runs": [dict(run) for run in runs],
        "heads": {
            head: {
                metric: _spread([of_run[head][metric] for of_run in observed])
                for metric, _ in names.known(of_head)
            }
            for head, of_head in first.items()
        },
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    # NaN differs from itself, and JSON has none.
    known = [None if value != value else float(value) for value in values]
    if None in known:
        return {"mean": None, "sd": None, "values": known}
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values),
        "values": known,
    }


def write(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes both files; summary also has the facts of what was scored."""
    seeds = [f"seed_{run['seed']}" for run in summary["runs"]]
    with atomic.replacing(folder / CSV_FILE) as temporary:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["head", "metric", "mean", "sd", *seeds])
            for head, of_head in summary["heads"].items():
                for metric, found in of_head.items():
                    numbers = (found["mean"], found["sd"], *found["values"])
                    writer.writerow([head, metric, *numbers])
    with atomic.replacing(folder / JSON_FILE) as temporary:
        temporary.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n")


def print_table(summary: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints mean and deviation of each metric, then the runs."""
    facts, heads = summary["facts"], summary["heads"]
    count = len(summary["runs"])
    title = (
        f"{facts['data_set']}, version {facts['data_set_version']}, label set "
        f"{facts['label_set']}: {facts['records']:,} {facts['split']} records\n"
        f"mean ± standard deviation (n - 1) of {count} seeds"
    )
    table = rich.table.Table(
        title=rich.text.Text(title, style="bold"),
        title_justify="left",
        box=rich.box.SIMPLE_HEAD,
    )
    table.add_column("")
    for head in heads:
        table.add_column(head, justify="right")
    for metric, name in names.known(next(iter(heads.values()))):
        table.add_row(name, *(_text(of_head[metric]) for of_head in heads.values()))
    console.print(table)
    for run in summary["runs"]:
        line = f"seed {run['seed']}: epoch {run['epoch']} of {run['workdir']}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _text(found: Mapping[str, Any]) -> str:
    mean, sd = found["mean"], found["sd"]
    return "-" if mean is None else f"{mean:.3f} ± {sd:.3f}"
