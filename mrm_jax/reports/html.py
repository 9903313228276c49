"""Writes report.html: all that a run's report says, in one file without any network.

Figures are SVG elements of the page, and its policy forbids it to load anything.
Importing this imports Matplotlib.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from mrm_jax.metrics import classification, significance
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.plotting import label_figures, style
from mrm_jax.reports import console_table, heads, html_figures
from mrm_jax.runtime import atomic

FILE = "report.html"
TILES = {
    "macro_auc": "macro AUC",
    "macro_ap": "macro average precision",
    "f_at_val_threshold": "F at the threshold from validation",
    "cpsc_f1": "CPSC2018 score",
}
MARKS = {  # beside the bars of the labels
    "mean": "circles: mean of both branches",
    "high": "upright triangles: high-resolution branch",
    "low": "inverted triangles: low-resolution branch",
}
LABEL_COLUMNS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "threshold": "threshold",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "precision",
    "f1_at_threshold": "F1",
}


def write(
    workdir: Path,
    report: Mapping[str, Any],
    split: SplitScores,
    history: Sequence[Mapping[str, Any]],
    read_signal_mv: html_figures.ReadSignals,
) -> Path:
    """Writes the page of a run and returns its path.

    Args:
        workdir: of the run.
        report: what report.json holds.
        split: scores of the split that it is about.
        history: lines of metrics.jsonl; empty where there are none.
        read_signal_mv: returns signals [record, time, lead] in mV of rows of the split.
    """
    content = _numbers(report, workdir) | {"num_records": len(split.names)}
    with style.settings():
        content |= _figures(report, split, history, read_signal_mv)
    html = _environment().get_template("report.html.j2").render(content)
    path = workdir / FILE
    with atomic.replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mrm_jax.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["interval"] = _interval
    return environment


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(ends: Sequence[float | None] | None) -> str:
    return "" if ends is None or None in ends else f"{ends[0]:.3f} to {ends[1]:.3f}"


def _numbers(report: Mapping[str, Any], workdir: Path) -> dict[str, Any]:
    """Returns what the template shows beside the figures."""
    facts = report["facts"]
    split = facts.get("split", "test")
    shown = heads.primary(facts)
    of_head = report[split][shown]
    of_bins = (report["calibration"] or {}).get(shown, {})
    return {
        "name": facts.get("config", {}).get("name") or workdir.resolve().name,
        "report": report,
        "facts": facts,
        "split": split,
        "found": report[split],
        "val": report.get("val") if split != "val" else None,
        "intervals": report["intervals"],
        "interval_of": report["intervals"]["heads"] or {},
        "heads": style.HEADS,
        "shown": shown,
        "notice": heads.notice(heads.untrained(facts)),
        "marks": [MARKS[head] for head in label_figures.others(shown)],
        "tiles": {key: name for key, name in TILES.items() if key in of_head},
        "metrics": {key: name for name, key in console_table.ROWS if key in of_head},
        "label_columns": LABEL_COLUMNS,
        "rare_warning": significance.warn_of_rare(report["labels"], shown),
        "config": json.dumps(facts.get("config"), indent=2),
        "bins": list(
            zip(
                of_bins.get("reliability", ()),
                of_bins.get("reliability_scaled", ()),
                strict=True,
            )
        ),
    }


def _figures(
    report: Mapping[str, Any],
    split: SplitScores,
    history: Sequence[Mapping[str, Any]],
    read_signal_mv: html_figures.ReadSignals,
) -> dict[str, Any]:
    facts, rows = report["facts"], report["labels"]
    shown = heads.primary(facts)
    threshold = report[facts.get("split", "test")][shown].get("val_threshold")
    fallback = classification.THRESHOLD if threshold is None else threshold
    return {
        "bars": html_figures.bars(rows, shown),
        "few_labels": len(rows) <= label_figures.FEW_LABELS,
        "num_extremes": html_figures.NUM_EXTREMES,
        "curves": html_figures.score_curves(rows, split, shown),
        "reliability": html_figures.reliability(report["calibration"] or {}),
        "together": html_figures.together(rows, split, fallback, shown),
        "pairs": html_figures.pairs(rows, split, fallback, shown),
        "training": html_figures.training(history, facts["epoch"]),
        "errors": html_figures.wrong(facts, rows, split, read_signal_mv),
    }
