"""Figures of scores: ROC and precision-recall curves, and reliability diagrams."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrm_jax.metrics import classification, curves
from mrm_jax.plotting import style as style_lib

MAX_POINTS = 300  # of one curve; finer than a figure can show
HALVES = {0: "0", 0.5: "½", 1: "1"}
FIFTHS = np.arange(6) / 5
# They place the threshold of a label on the curves.
RATES = ("sensitivity", "specificity", "ppv")


def all_labels(scores: np.ndarray, labels: np.ndarray) -> Figure:
    """Returns a figure of both curves, pooled over all labels.

    The micro curve is taken over all cells, the macro curve is the mean of the labels'
    curves. At least one label must have both classes.

    Args:
        scores: [record, label], from 0 to 1.
        labels: [record, label], 0 or 1.
    """
    micro = curves.compute(scores.ravel(), labels.ravel())
    usable = np.flatnonzero(classification.has_both_classes(labels))
    recall, precision = curves.macro(
        [curves.compute(scores[:, i], labels[:, i]) for i in usable]
    )
    canvas, roc, pr = _panels(f"all {len(usable)} labels", float(labels.mean()))
    by_cell, by_label = style_lib.AVERAGES["micro"], style_lib.AVERAGES["macro"]
    _draw(roc, micro.false_rate, micro.recall, by_cell)
    _draw(roc, curves.GRID, recall, by_label)
    _draw(pr, *micro.precision_recall, by_cell, steps=True)
    _draw(pr, curves.GRID, precision, by_label)
    roc.legend(loc="lower right", borderaxespad=0.2)
    return canvas


def one_label(
    heads: Mapping[str, np.ndarray],
    labels: np.ndarray,
    row: Mapping[str, Any],
    primary: str,
) -> Figure:
    """Returns a figure of both curves of one label, for all heads.

    Args:
        heads: head -> scores [record].
        labels: [record], 0 or 1, with both classes.
        row: entry of the label in "labels" of report.json; its threshold is marked.
        primary: head whose numbers and threshold are shown.
    """
    of_head = row["heads"][primary]
    numbers = f"AUC {_text(of_head['auc'])}, AP {_text(of_head['average_precision'])}"
    title = f"{style_lib.shorten(row['label'])}: {numbers}"
    canvas, roc, pr = _panels(title, float(labels.mean()))
    for head in style_lib.drawn_heads(heads):
        style = style_lib.HEAD_STYLES[head]
        found = curves.compute(heads[head], labels)
        _draw(roc, found.false_rate, found.recall, style)
        _draw(pr, *found.precision_recall, style, steps=True)
    at = {name: np.array(of_head[name], float) for name in RATES}
    dot: dict[str, Any] = {
        "color": "black",
        "marker": "o",
        "markersize": 7,
        "clip_on": False,
    }
    roc.plot(1 - at["specificity"], at["sensitivity"], **dot)
    pr.plot(at["sensitivity"], at["ppv"], **dot)
    roc.legend(loc="lower right", borderaxespad=0.2)
    return canvas


def _panels(title: str, prevalence: float) -> tuple[Figure, Axes, Axes]:
    """Returns a figure with axes for both curves and the lines of a random guess."""
    canvas = style_lib.figure(style_lib.WIDTH, 204)
    roc, pr = (style_lib.place(canvas, x, 42, 130, 130) for x in (42, 222))
    canvas.suptitle(title, y=0.98, va="top")
    roc.plot((0, 1), (0, 1), **style_lib.CHANCE)
    pr.plot((0, 1), (prevalence, prevalence), **style_lib.CHANCE)
    roc.set(xlabel="1 − specificity", ylabel="sensitivity")
    pr.set(xlabel="recall", ylabel="precision")
    for axes in (roc, pr):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_xticks(list(HALVES), HALVES.values())
        axes.set_yticks(list(HALVES), HALVES.values())
    return canvas, roc, pr


def _draw(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    style: style_lib.Style,
    steps: bool = False,
) -> None:
    """Draws a curve with at most MAX_POINTS points.

    With steps, each y applies from the previous point on.
    """
    way = np.cumsum(np.abs(np.diff(x, prepend=x[0])) + np.abs(np.diff(y, prepend=y[0])))
    kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], MAX_POINTS)))
    axes.plot(
        x[kept],
        y[kept],
        label=style.name,
        color=style.colour,
        linestyle=style.line,
        drawstyle="steps-pre" if steps else "default",
        linewidth=1.4,
    )


def reliability(calibration: Mapping[str, Any], head: str) -> Figure:
    """Returns a reliability diagram, before and after temperature scaling.

    Args:
        calibration: "calibration" of the head in report.json.
        head: name of the head.
    """
    canvas = style_lib.figure(style_lib.WIDTH, 426)
    axes = style_lib.place(canvas, 72, 124, 252, 252)
    counts = style_lib.place(canvas, 72, 42, 252, 62)
    axes.plot((0, 1), (0, 1), **style_lib.CHANCE)
    for key, style in style_lib.TEMPERATURES.items():
        bins = calibration[key]
        score, share = (_column(bins, name) for name in ("score", "share"))
        line: dict[str, Any] = {"color": style.colour, "linestyle": style.line}
        axes.plot(score, share, label=style.name, marker=style.marker, **line)
        edges = [bins[0]["from"], *(each["to"] for each in bins)]
        counts.stairs(_column(bins, "cells"), edges, **line)
    before, after = (_text(calibration[key]) for key in ("ece", "ece_scaled"))
    title = f"{head}: ECE {before}, temperature-scaled {after}"
    canvas.suptitle(title, y=0.985, va="top")
    axes.set(ylabel="observed frequency")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2, borderaxespad=0)
    counts.set(xlabel="mean score", ylabel="cells", yscale="log", ylim=(0.8, None))
    counts.yaxis.set_major_formatter("{x:,.0f}")
    for each in (axes, counts):
        each.set(xlim=(-0.02, 1.02), xticks=FIFTHS)
    axes.set(ylim=(-0.02, 1.02), yticks=FIFTHS)
    axes.grid(alpha=0.3)
    axes.tick_params("x", labelbottom=False)
    return canvas


def _column(bins: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Returns a number of each bin; NaN where it is None."""
    return np.array([each[name] for each in bins], float)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
