"""Draws training curves: losses and validation macro AUC against the epoch.

Terms of the loss are drawn as they count in it, multiplied by their weights, so that
they add up to the total.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.ticker
import matplotlib.transforms
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from mrm_jax.plotting import style as style_lib
from mrm_jax.runtime import atomic

DOTS_PER_INCH = 150
PANEL_POINTS = (360, 396)  # width and height
AXES_POINTS = (70, 98, 282, 248)  # left, bottom, width and height
MAX_MARKERS = 25
LEGEND_BELOW = 42  # points below the panel; the ticks and their name lie between
LEGEND_LINE = 18  # pixels of the page
LOSSES = style_lib.LOSSES
SPLITS = style_lib.SPLITS
AUCS = {f"val/macro_auc_{head}": style for head, style in style_lib.HEAD_STYLES.items()}
WEIGHTS = {  # term of the loss -> its weight among the hyperparameters
    "bce_high": "high_weight",
    "bce_low": "low_weight",
    "feature_kl": "feature_weight",
    "logit_kl": "logit_weight",
}
TICKS = {  # ratio of an axis' ends, exclusive -> the first digits of its ticks
    20: (1, 2, 3, 5, 7),
    1000: (1, 2, 5),
    math.inf: (1,),
}
BRANCH_TERMS = ("bce_high", "bce_low")

History = Sequence[Mapping[str, Any]]  # lines of metrics.jsonl


class Panel(NamedTuple):
    """One panel: its title, its curves by key, and its vertical axis."""

    title: str
    curves: Mapping[str, style_lib.Style]
    unit: str
    scale: str


def draw(
    history: History,
    path: Path | str,
    best_epoch: int,
    title: str,
    weights: Mapping[str, float],
) -> None:
    """Draws losses and validation macro AUC against epoch.

    Args:
        history: lines of metrics.jsonl, each with "epoch". Metrics that no line has are
            not drawn, and NaN leaves a gap. Runs of earlier versions have no validation
            loss; its panel is then omitted.
        path: path of the PNG file.
        best_epoch: epoch that is marked in every panel.
        title: title of the whole picture, plain text.
        weights: weights of the loss's terms, by the names in WEIGHTS. A term whose
            weight is unknown is not drawn.

    Raises:
        ValueError: if there is no epoch to draw.
    """
    if not history:
        raise ValueError("expected the metrics of at least one epoch, found none")
    weighted = _weighted(history, weights)
    chosen = _panels(weighted, weights)
    across, up = PANEL_POINTS
    figure = style_lib.figure(across * len(chosen), up)
    backend_agg.FigureCanvasAgg(figure)
    figure.suptitle(title, y=0.985, parse_math=False)
    left, *place = AXES_POINTS
    for number, panel in enumerate(chosen):
        axes = style_lib.place(figure, number * across + left, *place)
        _draw_panel(axes, weighted, panel, best_epoch)
        _add_legend(axes, columns=2)
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def figures(
    history: History, best_epoch: int, weights: Mapping[str, float]
) -> dict[str, Figure]:
    """Returns the panels of `draw` for report.html by title; none without any epoch."""
    drawn: dict[str, Figure] = {}
    weighted = _weighted(history, weights)
    for panel in _panels(weighted, weights) if history else ():
        # One name to a line: a phone has no room for two beside each other.
        below = LEGEND_BELOW + LEGEND_LINE * (len(panel.curves) + 1)
        drawn[panel.title] = canvas = style_lib.figure(style_lib.WIDTH, below + 246)
        axes = style_lib.place(canvas, 68, below, 284, 218)
        _draw_panel(axes, weighted, panel, best_epoch)
        _add_legend(axes, columns=1)
    return drawn


def _panels(weighted: History, weights: Mapping[str, float]) -> list[Panel]:
    """Returns the panels to draw, with the weight of each term in its name.

    Args:
        weighted: result of `_weighted`.
        weights: as in `draw`.
    """
    losses = dict(LOSSES)
    for term, name in WEIGHTS.items():
        style = LOSSES[f"train/{term}"]
        times = f"{weights.get(name, math.nan):.3g} × {style.name}"
        losses[f"train/{term}"] = style._replace(name=times)
    panels = [Panel("training loss and its weighted terms", losses, "nats", "log")]
    if not all(math.isnan(line["val/bce"]) for line in weighted):
        title = "weighted cross-entropy of both branches"
        if all(math.isnan(line["train/bce_high"]) for line in weighted):
            title = "cross-entropy"
        panels.append(Panel(title, SPLITS, "nats", "linear"))
    return [*panels, Panel("validation macro AUC", AUCS, "", "linear")]


def _weighted(history: History, weights: Mapping[str, float]) -> list[dict[str, Any]]:
    """Returns the lines with weighted terms, and with the sums of SPLITS."""
    lines = []
    for line in history:
        found = dict(line)
        for term, name in WEIGHTS.items():
            for key in (f"train/{term}", f"val/{term}"):
                found[key] = weights.get(name, math.nan) * line.get(key, math.nan)
        for split in ("train", "val"):
            parts = [found[f"{split}/{term}"] for term in BRANCH_TERMS]
            found.setdefault(f"{split}/bce", sum(parts))  # there with one branch
        lines.append(found)
    return lines


def _draw_panel(axes: Axes, history: History, panel: Panel, best_epoch: int) -> None:
    _draw_curves(axes, history, panel.curves, best_epoch)
    axes.set_title(panel.title, y=1.0)  # or Matplotlib measures all ticks for y
    axes.set(ylabel=panel.unit, yscale=panel.scale)
    if panel.scale == "log":
        low, high = axes.get_ylim()
        subs = next(subs for ratio, subs in TICKS.items() if high / low < ratio)
        axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _draw_curves(
    axes: Axes,
    history: History,
    chosen: Mapping[str, style_lib.Style],
    best_epoch: int,
) -> None:
    epochs = [line["epoch"] for line in history]
    for key, style in chosen.items():
        values = [line.get(key, math.nan) for line in history]
        # A term that an experiment disables is 0 in every epoch.
        if not any(value > 0 for value in values):
            continue
        axes.plot(
            epochs,
            values,
            label=style.name,
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            markersize=4,
            markevery=math.ceil(len(epochs) / MAX_MARKERS),
        )
    axes.axvline(
        best_epoch,
        label=f"best epoch: {best_epoch}",
        color="0.8",
        linewidth=6,
        zorder=0,
    )
    axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    whole = matplotlib.ticker.MaxNLocator(integer=True, min_n_ticks=1)
    axes.xaxis.set_major_locator(whole)
    axes.grid(alpha=0.3)


def _add_legend(axes: Axes, columns: int) -> None:
    """Adds a legend below the panel, where it hides no curve."""
    below = matplotlib.transforms.ScaledTranslation(
        0, -LEGEND_BELOW / 72, axes.figure.dpi_scale_trans
    )
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
        borderaxespad=0,
        ncols=columns,
        frameon=False,
    )
