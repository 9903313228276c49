"""Writes report.html: a whole report in one file that needs no network.

Figures are SVG elements of the page, and its content security policy forbids it to load
anything. On a screen that prefers dark pages the page is dark; its print is light.
Importing this module imports Matplotlib.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from mrm_jax.metrics import classification, names
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.plotting import label_figures, style
from mrm_jax.reports import caveats, heads, html_figures
from mrm_jax.runtime import atomic

FILE = "report.html"
TILES = ("macro_auc", "macro_ap", "f_at_val_threshold", "cpsc_f1")
MARKS = {  # beside the bars of the labels
    "mean": "circles: mean of both branches",
    "high": "upright triangles: high-resolution branch",
    "low": "inverted triangles: low-resolution branch",
}
LABEL_COLUMNS = (
    "auc",
    "average_precision",
    "threshold",
    "sensitivity",
    "specificity",
    "ppv",
    "f1_at_threshold",
)


def write(
    workdir: Path,
    report: Mapping[str, Any],
    split: SplitScores,
    history: Sequence[Mapping[str, Any]],
    read_signal_mv: html_figures.ReadSignals,
) -> Path:
    """Writes the page of a run and returns its path; see `render`."""
    path = workdir / FILE
    html = render(workdir, report, split, history, read_signal_mv)
    with atomic.replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def render(
    workdir: Path,
    report: Mapping[str, Any],
    split: SplitScores,
    history: Sequence[Mapping[str, Any]],
    read_signal_mv: html_figures.ReadSignals,
) -> str:
    """Returns the page of a run as HTML.

    Args:
        workdir: folder of the run.
        report: content of report.json.
        split: scores of the split that the report describes.
        history: lines of metrics.jsonl; may be empty.
        read_signal_mv: function from rows of the split to their signals
            [record, time, lead], millivolts.
    """
    content = _numbers(report, workdir) | {"num_records": len(split.names)}
    with style.settings():
        content |= _figures(report, split, history, read_signal_mv)
    content["dark_colours"] = style.DARK_COLOURS
    return _environment().get_template("report.html.j2").render(content)


@functools.cache
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
    environment.filters["sentence"] = _sentence
    return environment


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(ends: Sequence[float | None] | None) -> str:
    return "" if ends is None or None in ends else f"{ends[0]:.3f} to {ends[1]:.3f}"


def _sentence(caveat: str) -> str:
    return f"{caveat[0].upper()}{caveat[1:]}."


def _numbers(report: Mapping[str, Any], workdir: Path) -> dict[str, Any]:
    """Returns the values that the template shows besides the figures."""
    facts = report["facts"]
    split = facts.get("split", "test")
    primary = heads.primary(facts)
    of_head = report[split][primary]
    of_bins = (report["calibration"] or {}).get(primary, {})
    return {
        "name": facts.get("config", {}).get("name") or workdir.resolve().name,
        "report": report,
        "facts": facts,
        "split": split,
        "found": report[split],
        "val": report.get("val") if split != "val" else None,
        "intervals": report["intervals"],
        "interval_of": report["intervals"]["heads"] or {},
        "heads": style.drawn_heads(report[split]),
        "primary": primary,
        "untrained": caveats.untrained(heads.untrained(facts)),
        "thresholds": caveats.thresholds(facts),
        "marks": [
            MARKS[head] for head in style.drawn_heads(report[split]) if head != primary
        ],
        "tiles": {key: names.SPLIT[key] for key in TILES if key in of_head},
        "metrics": names.of_split(of_head),
        "label_columns": {key: names.LABEL[key] for key in LABEL_COLUMNS},
        "calibration_columns": names.CALIBRATION,
        "rare_labels": caveats.rare_labels(report, primary),
        "unlabelled": caveats.unlabelled(report),
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
    primary = heads.primary(facts)
    threshold = report[facts.get("split", "test")][primary].get("val_threshold")
    fallback = classification.THRESHOLD if threshold is None else threshold
    return {
        "bars": html_figures.bars(rows, primary),
        "few_labels": len(rows) <= label_figures.FEW_LABELS,
        "num_extremes": html_figures.NUM_EXTREMES,
        "curves": html_figures.score_curves(rows, split, primary),
        "reliability": html_figures.reliability(report["calibration"] or {}),
        "co_occurrence": html_figures.co_occurrence(rows, split, fallback, primary),
        "pairs": html_figures.false_positive_pairs(rows, split, fallback, primary),
        "training": html_figures.training(history, facts),
        "errors": html_figures.confident_errors(facts, rows, split, read_signal_mv),
    }
