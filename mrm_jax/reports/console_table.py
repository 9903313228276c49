"""The numbers of one report as tables in the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

import rich.console
import rich.table
import rich.text

from mrm_jax.metrics import names
from mrm_jax.reports import caveats, heads, tables

CALIBRATION_ROWS = {
    "ece": names.CALIBRATION["ece"],
    "ece_scaled": "ECE after temperature scaling",
    "temperature": "temperature",
}
LABEL_COLUMNS = {
    "auc": "AUC",
    "average_precision": "AP",
    "f1_at_threshold": "F1",
    "threshold": "threshold",
}
COMMANDS = (("command", "command"), ("evaluated by", "evaluated_by"))
SHOWN_LABELS = 30
ALL_INTERVALS_WIDTH = 100  # at this width or more, every head has intervals


def print_table(report: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints the tables of a report and the commands that made it."""
    tables.show(table(report, console.width), console)
    facts = report["facts"]
    for caveat in (
        caveats.untrained(heads.untrained(facts)),
        caveats.thresholds(facts),
    ):
        if caveat:
            tables.say(caveat, console, style="bold")
    if report.get("labels"):  # missing in reports of version 0.1
        console.print()
        tables.show(label_table(report), console)
        hidden = len(report["labels"]) - SHOWN_LABELS
        if hidden > 0:
            console.print(f"… and {hidden} more in report.csv", highlight=False)
    for name, fact in COMMANDS:
        if command := facts.get(fact):  # empty without an evaluation
            line = f"{name}: {command}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def table(report: Mapping[str, Any], width: int) -> rich.table.Table:
    """Returns a table of the whole split's metrics; its title names the data set.

    Args:
        report: as in report.json.
        width: width of the terminal, in characters; below ALL_INTERVALS_WIDTH only the
            primary head has its intervals.
    """
    of_heads = report[_split(report)]
    primary = heads.primary(report["facts"])
    result = tables.new(_title(report), _caption(report, width))
    result.add_column("")
    tables.add_numbers(result, *of_heads)
    for title, values in _rows(report):
        cells = [
            _number(value, ends if head == primary or _is_wide(width) else None)
            for head, (value, ends) in values.items()
        ]
        result.add_row(rich.text.Text(title), *cells)
    return result


def label_table(report: Mapping[str, Any]) -> rich.table.Table:
    """Returns a table of the first SHOWN_LABELS labels' metrics by the primary head."""
    head = heads.primary(report["facts"])
    several = len(report[_split(report)]) > 1
    whose = f"{head} score" if several else "score"
    if several and head == "mean":
        whose = "mean of high and low"
    result = tables.new(
        f"per label, {whose}; F1 at validation threshold",
        caveats.rare_labels(report, head),
    )
    result.add_column("")
    tables.add_numbers(result, "records", *LABEL_COLUMNS.values())
    for label in report["labels"][:SHOWN_LABELS]:
        values = label["heads"][head]
        result.add_row(
            rich.text.Text(label["label"]),
            f"{label['positive_records']:,}",
            *(
                _number(values[key], values["auc_interval"] if key == "auc" else None)
                for key in LABEL_COLUMNS
            ),
        )
    return result


def _rows(
    report: Mapping[str, Any],
) -> Iterator[tuple[str, dict[str, tuple[float | None, list[float] | None]]]]:
    """Yields the title of each metric, and the value and interval of each head."""
    of_heads = report[_split(report)]
    ends = report.get("intervals", {}).get("heads", {})
    for key, title in names.SPLIT.items():
        if all(key in values for values in of_heads.values()):
            yield (
                title,
                {
                    head: (values[key], ends.get(head, {}).get(key))
                    for head, values in of_heads.items()
                },
            )
    calibration = report.get("calibration", {})
    for key, title in CALIBRATION_ROWS.items() if calibration else ():
        yield (
            title,
            {
                head: (calibration[head][key], calibration[head].get(f"{key}_interval"))
                for head in of_heads
            },
        )


def _split(report: Mapping[str, Any]) -> str:
    return report["facts"].get("split", "test")


def _is_wide(width: int) -> bool:
    return width >= ALL_INTERVALS_WIDTH


def _number(value: float | None, ends: list[float] | None = None) -> str:
    if value is None:
        return "-"
    interval = "" if ends is None else f" [{ends[0]:.3f}, {ends[1]:.3f}]"
    return f"{value:.3f}{interval}"


def _title(report: Mapping[str, Any]) -> str:
    facts = report["facts"]
    data = facts.get("evaluated_on") or facts
    records = ", ".join(
        f"{count:,} {split}" for split, count in data["records"].items()
    )
    trained_on = (
        f"trained on {facts['data_set']}, version {facts['data_set_version']}; "
        if data is not facts
        else ""
    )
    return (
        f"{data['data_set']}, version {data['data_set_version']}, "
        f"label set {data['label_set']}: {_split(report)} split\n"
        f"records: {records}; {trained_on}seed {facts['seed']}; epoch {facts['epoch']}"
    )


def _caption(report: Mapping[str, Any], width: int) -> str:
    split = _split(report)
    macro = (
        f"macro: mean over the {report[split]['mean']['macro_labels']} of "
        f"{report['num_labels']} labels with both classes in the {split} split"
    )
    if caveat := caveats.unlabelled(report):
        macro += f"\n{caveat}"
    intervals = report.get("intervals")
    if intervals is None:
        return macro
    if intervals["note"]:
        return f"{macro}\nno intervals: {intervals['note']}"
    primary = heads.primary(report["facts"])
    others = " and ".join(head for head in report[split] if head != primary)
    where = "" if _is_wide(width) else f"; for {others} see metrics.csv"
    return (
        f"{macro}\n[low, high]: {100 * intervals['level']:g} % bootstrap interval, "
        f"{intervals['resamples']:,} resamples, seed {intervals['seed']}{where}"
    )
