"""Draws training curves: losses and validation macro AUC against the epoch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.ticker
import matplotlib.transforms
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from mrm_jax.plotting import style as style_lib
from mrm_jax.runtime import atomic

DOTS_PER_INCH = 150
MAX_MARKERS = 25
LEGEND_BELOW = 42  # points below the panel; the ticks and their name lie between
LOSSES = style_lib.LOSSES
AUCS = {f"val/macro_auc_{head}": style for head, style in style_lib.HEAD_STYLES.items()}


def draw(
    history: Sequence[Mapping[str, Any]],
    path: Path | str,
    best_epoch: int,
    title: str,
) -> None:
    """Draws losses and validation macro AUC against epoch.

    Args:
        history: lines of metrics.jsonl, each with "epoch". Keys of LOSSES or AUCS that
            no line has are not drawn, and NaN leaves a gap.
        path: path of the PNG file.
        best_epoch: epoch that is marked in both panels.
        title: title of the whole picture, plain text.

    Raises:
        ValueError: if there is no epoch to draw.
    """
    if not history:
        raise ValueError("expected the metrics of at least one epoch, found none")
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    backend_agg.FigureCanvasAgg(figure)
    loss_axes, auc_axes = figure.subplots(1, 2)
    figure.suptitle(title, parse_math=False)
    _draw_losses(loss_axes, history, best_epoch)
    _draw_aucs(auc_axes, history, best_epoch)
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def figures(history: Sequence[Mapping[str, Any]], best_epoch: int) -> list[Figure]:
    """Returns the two panels of `draw` for report.html; none without any epoch."""
    drawn = []
    for draw_panel in (_draw_losses, _draw_aucs) if history else ():
        drawn.append(style_lib.figure(style_lib.WIDTH, 350))
        draw_panel(style_lib.place(drawn[-1], 54, 104, 298, 218), history, best_epoch)
    return drawn


def _draw_losses(
    axes: Axes, history: Sequence[Mapping[str, Any]], best_epoch: int
) -> None:
    _draw_panel(axes, history, LOSSES, best_epoch)
    axes.set(title="training loss and its terms", ylabel="nats", yscale="log")
    ticks = matplotlib.ticker.LogLocator(subs=(1, 2, 3, 5, 7))
    axes.yaxis.set_major_locator(ticks)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _draw_aucs(
    axes: Axes, history: Sequence[Mapping[str, Any]], best_epoch: int
) -> None:
    _draw_panel(axes, history, AUCS, best_epoch)
    axes.set(title="validation macro AUC")


def _draw_panel(
    axes: Axes,
    history: Sequence[Mapping[str, Any]],
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
    _add_legend(axes)


def _add_legend(axes: Axes) -> None:
    """Adds a legend below the panel, where it hides no curve."""
    below = matplotlib.transforms.ScaledTranslation(
        0, -LEGEND_BELOW / 72, axes.figure.dpi_scale_trans
    )
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
        borderaxespad=0,
        ncols=2,
        frameon=False,
    )
