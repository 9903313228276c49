"""The metrics of a test fold as a table in the terminal."""

from collections.abc import Mapping
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text

ROWS = (
    ("macro AUC", "macro_auc"),
    ("macro average precision", "macro_ap"),
    ("macro F1 at 0.5", "macro_f1"),
    ("TPR per record at 0.5", "tpr"),
    ("F1 per record at 0.5", "f1"),
    ("accuracy at 0.5 (share of zeros: {share_of_zeros:.3f})", "accuracy"),
    ("F at the threshold that was best on validation", "f_at_val_threshold"),
    ("  that threshold", "val_threshold"),
    ("Fmax, threshold picked on the test fold", "fmax"),
    ("CPSC2018 score", "cpsc_f1"),
    ("  AF", "cpsc_f_af"),
    ("  block", "cpsc_f_block"),
    ("  premature contraction", "cpsc_f_pc"),
    ("  ST change", "cpsc_f_st"),
)


def table(report: Mapping[str, Any]) -> rich.table.Table:
    """Returns the metrics of the test fold, with what they were measured on."""
    facts, test = report["facts"], report["test"]
    records = ", ".join(
        f"{count:,} {split}" for split, count in facts["records"].items()
    )
    title = (
        f"{facts['data_set']}, version {facts['data_set_version']}, "
        f"label set {facts['label_set']}: test fold\n"
        f"records: {records}; seed {facts['seed']}; epoch {facts['epoch']}"
    )
    mean = test["mean"]
    caption = (
        f"macro: mean over {mean['macro_labels']} of {report['num_labels']} labels, "
        "those with both classes in the test fold"
    )
    result = rich.table.Table(
        title=rich.text.Text(title, style="bold"),
        caption=rich.text.Text(caption),
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
    )
    result.add_column("")
    for head in test:
        result.add_column(head, justify="right")
    for name, key in ROWS:
        if key in mean:
            values = [of_head[key] for of_head in test.values()]
            texts = ["-" if value is None else f"{value:.3f}" for value in values]
            result.add_row(name.format_map(mean), *texts)
    return result


def print_table(report: Mapping[str, Any], console: rich.console.Console) -> None:
    """Prints the table of the test fold and the command that made it."""
    console.print(table(report))
    command = f"command: {report['facts']['command']}"
    console.print(command, markup=False, highlight=False, soft_wrap=True)
