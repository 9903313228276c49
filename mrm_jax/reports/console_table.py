"""The numbers of a report as tables in the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text

from mrm_jax.metrics import significance
from mrm_jax.reports import heads

ROWS = (
    ("macro AUC", "macro_auc"),
    ("macro average precision", "macro_ap"),
    ("macro F1 at 0.5", "macro_f1"),
    ("TPR per record at 0.5", "tpr"),
    ("F1 per record at 0.5", "f1"),
    ("accuracy at 0.5", "accuracy"),
    ("  of predicting nothing", "share_of_zeros"),
    ("F, threshold of validation", "f_at_val_threshold"),
    ("  that threshold", "val_threshold"),
    ("Fmax, threshold picked here", "fmax"),
    ("CPSC2018 score", "cpsc_f1"),
    ("  AF", "cpsc_f_af"),
    ("  block", "cpsc_f_block"),
    ("  premature contraction", "cpsc_f_pc"),
    ("  ST change", "cpsc_f_st"),
)
CALIBRATION_ROWS = (
    ("calibration error (ECE)", "ece"),
    ("  after the temperature", "ece_scaled"),
    ("  that temperature", "temperature"),
)
COMMANDS = (("command", "command"), ("evaluated by", "evaluated_by"))
SHOWN_LABELS = 30
ALL_INTERVALS_WIDTH = 100  # from here on, columns hold the intervals of every head


def print_table(report: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints the tables of a report and the commands that made it."""
    console.print(table(report, console.width))
    if notice := heads.notice(heads.untrained(report["facts"])):
        console.print(notice, style="bold", markup=False, soft_wrap=True)
    if report.get("labels"):  # not in reports of version 0.1
        console.print()
        console.print(label_table(report))
        hidden = len(report["labels"]) - SHOWN_LABELS
        if hidden > 0:
            console.print(f"… and {hidden} more in report.csv", highlight=False)
    for name, fact in COMMANDS:
        if command := report["facts"].get(fact):  # empty of no evaluation
            line = f"{name}: {command}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def table(report: Mapping[str, Any], width: int) -> rich.table.Table:
    """Returns the metrics of the whole split, with what they were measured on.

    Args:
        report: as in report.json.
        width: of the terminal, in characters; in a narrow one only the shown head
            has its intervals.
    """
    of_heads = report[_split(report)]
    shown = heads.primary(report["facts"])
    result = _table(_title(report), _caption(report, width))
    result.add_column("")
    for head in of_heads:
        result.add_column(head, justify="right", no_wrap=True)
    for name, values in _rows(report):
        cells = [
            _number(value, ends if head == shown or _is_wide(width) else None)
            for head, (value, ends) in values.items()
        ]
        result.add_row(rich.text.Text(name), *cells)
    return result


def label_table(report: Mapping[str, Any]) -> rich.table.Table:
    """Returns one row for each of the first SHOWN_LABELS labels, of the shown head."""
    head = heads.primary(report["facts"])
    whose = "mean of high and low" if head == "mean" else f"{head} score"
    result = _table(
        f"each label, {whose}; thresholds: validation's",
        significance.warn_of_rare(report["labels"], head),
    )
    result.add_column("")
    for name in ("records", "AUC", "AP", "F1", "at threshold"):
        result.add_column(name, justify="right", no_wrap=True)
    for label in report["labels"][:SHOWN_LABELS]:
        values = label["heads"][head]
        result.add_row(
            rich.text.Text(label["label"]),
            f"{label['positive_records']:,}",
            _number(values["auc"], values["auc_interval"]),
            _number(values["average_precision"]),
            _number(values["f1_at_threshold"]),
            _number(values["threshold"]),
        )
    return result


def _rows(
    report: Mapping[str, Any],
) -> Iterator[tuple[str, dict[str, tuple[float | None, list[float] | None]]]]:
    """Returns names, and the value and interval of each head."""
    of_heads = report[_split(report)]
    ends = report.get("intervals", {}).get("heads", {})
    for name, key in ROWS:
        if all(key in values for values in of_heads.values()):
            yield (
                name,
                {
                    head: (values[key], ends.get(head, {}).get(key))
                    for head, values in of_heads.items()
                },
            )
    calibration = report.get("calibration", {})
    for name, key in CALIBRATION_ROWS if calibration else ():
        yield (
            name,
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
        f"macro: mean over {report[split]['mean']['macro_labels']} of "
        f"{report['num_labels']} labels, those with both classes in the {split} split"
    )
    intervals = report.get("intervals")
    if intervals is None:
        return macro
    if intervals["note"]:
        return f"{macro}\nno intervals: {intervals['note']}"
    shown = heads.primary(report["facts"])
    others = " and ".join(head for head in report[split] if head != shown)
    where = "" if _is_wide(width) else f"; those of {others}: metrics.csv"
    return (
        f"{macro}\n[low, high]: {100 * intervals['level']:g} % bootstrap interval, "
        f"{intervals['resamples']:,} resamples, seed {intervals['seed']}{where}"
    )


def _table(title: str, caption: str | None = None) -> rich.table.Table:
    return rich.table.Table(
        title=rich.text.Text(title, style="bold"),
        caption=rich.text.Text(caption) if caption else None,
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
    )
