"""The results of a cross-validation, as files and as a table.

cross_validation.json   facts: the data, the configuration and the command
                        pooled: numbers of all records together (`summary.summarise`)
                        folds: mean, standard deviation and values over the test folds
cross_validation.csv    one row per head and metric: the pooled value with its interval,
                        mean and sd over the folds, and the value of each fold
scores.npz              names, labels and scores of all records
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich.console

from mrm_jax.metrics import names, seeds
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import caveats, heads, run_report, tables
from mrm_jax.runtime import json_files, text

JSON_FILE = "cross_validation.json"
CSV_FILE = "cross_validation.csv"


def write(folder: Path, result: Mapping[str, Any], scores: SplitScores) -> None:
    """Writes the three files to an existing folder."""
    labels = [label["label"] for label in result["pooled"]["labels"]]
    run_report.write_scores(folder / run_report.SCORES_FILE, labels, scores)
    folds = [f"fold_{run['fold']}" for run in result["folds"]["runs"]]
    columns = ["head", "metric", "pooled", "low", "high", "mean", "sd", *folds]
    with (folder / CSV_FILE).open("w", newline="", encoding="utf-8") as file:
        text.write_rows(file, [columns])
        for head, of_head in result["folds"]["heads"].items():
            for metric, found in of_head.items():
                value, interval = _pooled(result, head, metric)
                numbers = (value, *(interval or (None, None)), found["mean"])
                row = [head, metric, *numbers, found["sd"], *found["values"]]
                text.write_rows(file, [row])
    content = json.dumps(json_files.sealed(result), indent=1, allow_nan=False)
    (folder / JSON_FILE).write_text(content + "\n")


def print_table(result: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints the pooled metrics, those over the folds, and one line for each fold."""
    facts, of_heads = result["facts"], result["folds"]["heads"]
    intervals = result["pooled"]["intervals"]
    title = (
        f"{facts['data_set']}, version {facts['data_set_version']}, label set "
        f"{facts['label_set']}: cross-validation, {facts['records']:,} test records"
    )
    caption = (
        "pooled: scores of all test folds together, with the bootstrap interval over "
        "records\nfolds: mean ± standard deviation (n - 1) of the ten test folds"
    )
    if intervals["note"]:
        caption += f"\nno intervals: {intervals['note']}"
    if caveat := caveats.unlabelled(result["pooled"]):
        caption += f"\n{caveat}"
    table = tables.new(title, caption)
    table.add_column("")
    for head in of_heads:
        tables.add_numbers(table, f"{head}, pooled", f"{head}, folds")
    for metric, heading in names.compared(next(iter(of_heads.values()))).items():
        cells = []
        for head, of_head in of_heads.items():
            cells += [_number(result, head, metric), _mean_sd(of_head[metric])]
        table.add_row(heading, *cells)
    tables.show(table, console)
    if caveat := caveats.untrained(heads.untrained(facts)):
        tables.say(caveat, console, style="bold")
    _say_folds(result, console)


def _say_folds(result: Mapping[str, Any], console: rich.console.Console) -> None:
    head = heads.primary(result["facts"])
    values = result["folds"]["heads"][head]["macro_auc"]["values"]
    for run, value in zip(result["folds"]["runs"], values, strict=True):
        auc = "undefined" if value is None else f"{value:.3f}"
        line = f"test fold {run['fold']}: macro AUC {auc}, epoch {run['epoch']}"
        tables.say(f"{line} of {run['workdir']}", console)


def _pooled(
    result: Mapping[str, Any], head: str, metric: str
) -> tuple[float | None, list[float] | None]:
    """Returns a metric of all records, and its interval."""
    pooled = result["pooled"]
    ends = pooled["intervals"]["heads"].get(head, {}).get(metric)
    return pooled["test"][head].get(metric), ends


def _number(result: Mapping[str, Any], head: str, metric: str) -> str:
    value, ends = _pooled(result, head, metric)
    if value is None:
        return "-"
    interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""
    return f"{value:.3f}{interval}"


def _mean_sd(found: Mapping[str, Any]) -> str:
    return "-" if found["mean"] is None else seeds.text(found)
