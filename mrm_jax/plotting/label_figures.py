"""Figures of labels: bars of a metric per label, and label co-occurrence."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrm_jax.plotting import style as style_lib

# Up to this many labels have wide bars, and a number in each cell of a matrix.
FEW_LABELS = 12
BAR: dict[str, Any] = {"color": "#c3d9ea", "edgecolor": "#5b7f9c", "linewidth": 0.8}
VALUE_WIDTH = 48  # of the numbers beside the bars, pixels
TITLE_WIDTH = 236  # of the title of a matrix, pixels
COLOURS = "Blues"
INTERVAL = "95 % interval"
DARK = 0.55  # numbers are white from this share on


def bars(
    rows: Sequence[Mapping[str, Any]], metric: str, title: str, primary: str
) -> Figure:
    """Returns a figure of a metric per label, for all heads.

    Args:
        rows: "labels" of report.json, drawn from the top in this order.
        metric: key of the metric.
        title: title of the figure.
        primary: head that is drawn as bars with intervals; the others have marks.
    """
    names = [style_lib.shorten(row["label"]) for row in rows]
    left, height = (
        _name_width(names),
        (24 if len(rows) <= FEW_LABELS else 17) * len(rows),
    )
    canvas = style_lib.figure(style_lib.WIDTH, height + 84)
    axes = style_lib.place(
        canvas, left, 26, style_lib.WIDTH - left - VALUE_WIDTH, height
    )
    start = 0.5 if metric == "auc" else 0.0  # the value of a random guess
    lowest = _draw_bars(axes, rows, metric, primary, start)
    axes.set(ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlim(lowest - 0.02 * (lowest < start), 1.005)
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params("y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    _add_legend(canvas, _others(primary, rows), primary, 1 - 24 / (height + 84))
    canvas.suptitle(title, y=1 - 6 / (height + 84), va="top")
    return canvas


def _draw_bars(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    primary: str,
    start: float,
) -> float:
    """Draws bars that begin at `start`; returns the lowest value drawn."""
    values = {head: _column(rows, head, metric) for head in _heads(rows)}
    barred, places = values[primary], np.arange(len(rows))
    axes.barh(places, barred - start, 0.72, start, label=primary, **BAR)
    ends = np.array(
        [
            row["heads"][primary].get(f"{metric}_interval") or (None, None)
            for row in rows
        ],
        float,
    )
    # A gap after each pair, so that one line draws all intervals.
    gaps = np.insert(ends, 2, np.nan, axis=1).ravel()
    axes.plot(gaps, np.repeat(places, 3), "k|-", linewidth=1.2, label=INTERVAL)
    for head in _others(primary, rows):
        style = style_lib.HEAD_STYLES[head]
        mark: dict[str, Any] = {"marker": style.marker, "markeredgecolor": style.colour}
        axes.plot(
            values[head],
            places,
            linestyle="",
            label=head,
            markerfacecolor="white",
            **mark,
        )
    for place, value in enumerate(barred.tolist()):
        text = "none" if np.isnan(value) else f"{value:.3f}"
        axes.text(1.03, place, text, transform=axes.get_yaxis_transform(), va="center")
    drawn = np.concatenate([*values.values(), ends.ravel(), [start]])
    return float(drawn[np.isfinite(drawn)].min())


def _add_legend(
    canvas: Figure, marked: Sequence[str], primary: str, top: float
) -> None:
    handles, names = canvas.axes[0].get_legend_handles_labels()
    order = [names.index(name) for name in (primary, INTERVAL, *marked)]
    canvas.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        loc="upper center",
        bbox_to_anchor=(0.5, top),
        ncols=len(order),
        borderaxespad=0,
        columnspacing=1.0,
        handlelength=1.2,
        handletextpad=0.5,
    )


def _others(primary: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the heads that are drawn as marks beside the primary head's bars."""
    return [head for head in _heads(rows) if head != primary]


def _heads(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return style_lib.drawn_heads(rows[0]["heads"])


def _column(rows: Sequence[Mapping[str, Any]], head: str, metric: str) -> np.ndarray:
    """Returns a head's metric [label]; NaN where it is None."""
    return np.array([row["heads"][head][metric] for row in rows], float)


def matrix(names: Sequence[str], shares: np.ndarray, title: str, across: str) -> Figure:
    """Returns a picture of `errors.co_occurrence`, with numbers where there is room.

    Args:
        names: [label], names of the labels.
        shares: [label, label], from 0 to 1.
        title: title of the figure.
        across: title of the columns.
    """
    names = [style_lib.shorten(name) for name in names]
    margin, few = _name_width(names) + 20, len(names) <= FEW_LABELS
    room = (style_lib.WIDTH - margin - 8) / len(names)
    side = len(names) * (min(max(room, 27), 60) if few else 14)
    width = max(margin + side + (8 if few else 70), TITLE_WIDTH)
    canvas = style_lib.figure(width, margin + side + 30)
    axes = style_lib.place(canvas, margin, margin, side, side)
    colours = matplotlib.colormaps[COLOURS].with_extremes(bad="0.85")
    image = axes.imshow(shares, vmin=0, vmax=1, cmap=colours, interpolation="none")
    axes.set(ylabel="true label", xlabel=across)
    # At the left, where a phone shows it without scrolling.
    place = {"x": 8 / width, "y": 1 - 6 / (margin + side + 30)}
    canvas.suptitle(title, **place, ha="left", va="top")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.tick_params(length=0)
    if few:
        _write_numbers(axes, shares)
    else:
        bar = min(side, 300)
        beside = style_lib.place(
            canvas, margin + side + 12, margin + side - bar, 12, bar
        )
        canvas.colorbar(image, beside, format=_percent)
    return canvas


def _write_numbers(axes: Axes, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        text = "" if np.isnan(share) else f"{100 * share:.0f}"
        colour = "white" if share >= DARK else "black"
        axes.text(column, row, text, color=colour, ha="center", va="center")


def _percent(share: float, _: int) -> str:
    return f"{100 * share:.0f} %"


def _name_width(names: Sequence[str]) -> float:
    """Returns the width in pixels that names beside an axis need."""
    return 14 + style_lib.CHARACTER_WIDTH * max(map(len, names))
