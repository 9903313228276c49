"""The curves of a training."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.axes
import matplotlib.ticker
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from mrm_jax import atomic

DOTS_PER_INCH = 150
MAX_MARKERS = 25
# key -> name, colour, marker, line. Colours of Okabe and Ito (2008), which people with
# a colour vision deficiency can tell apart; marker and line do for a print in grey.
Style = tuple[str, str, str, str]
LOSSES: dict[str, Style] = {
    "train/loss": ("total", "#000000", "o", "-"),
    "train/bce_high": ("cross-entropy, high", "#0072B2", "^", "--"),
    "train/bce_low": ("cross-entropy, low", "#D55E00", "v", "-."),
    "train/feature_kl": ("mutual, features", "#009E73", "s", ":"),
    "train/logit_kl": ("mutual, logits", "#CC79A7", "D", ":"),
}
AUCS: dict[str, Style] = {
    "val/macro_auc_mean": ("mean", "#000000", "o", "-"),
    "val/macro_auc_high": ("high", "#0072B2", "^", "--"),
    "val/macro_auc_low": ("low", "#D55E00", "v", "-."),
}


def draw(
    history: Sequence[Mapping[str, Any]],
    path: Path | str,
    best_epoch: int,
    title: str,
) -> None:
    """Draws losses and validation macro AUC against epoch.

    Args:
        history: lines of metrics.jsonl, each with "epoch"; a key of LOSSES or AUCS that
            no line has is not drawn, and NaN leaves a gap.
        path: of the PNG file.
        best_epoch: marked in both panels.
        title: of the whole picture, plain text.

    Raises:
        ValueError: if there is no epoch to draw.
    """
    if not history:
        raise ValueError("expected the metrics of at least one epoch, found none")
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    backend_agg.FigureCanvasAgg(figure)
    loss_axes, auc_axes = figure.subplots(1, 2)
    figure.suptitle(title, parse_math=False)
    _draw_panel(loss_axes, history, LOSSES, best_epoch)
    loss_axes.set(title="training loss and its terms", ylabel="nats", yscale="log")
    ticks = matplotlib.ticker.LogLocator(subs=(1, 2, 3, 5, 7))
    loss_axes.yaxis.set_major_locator(ticks)
    loss_axes.yaxis.set_major_formatter("{x:g}")
    loss_axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    _draw_panel(auc_axes, history, AUCS, best_epoch)
    auc_axes.set(title="validation macro AUC")
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def _draw_panel(
    axes: matplotlib.axes.Axes,
    history: Sequence[Mapping[str, Any]],
    styles: Mapping[str, Style],
    best_epoch: int,
) -> None:
    epochs = [line["epoch"] for line in history]
    for key, (name, colour, marker, dashes) in styles.items():
        values = [line.get(key, math.nan) for line in history]
        # A term that an experiment leaves out is 0 throughout.
        if not any(value > 0 for value in values):
            continue
        axes.plot(
            epochs,
            values,
            label=name,
            color=colour,
            linestyle=dashes,
            marker=marker,
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
    # Below the panel, where it hides no curve.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
