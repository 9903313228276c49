"""Figures of `parity_training`.

They are readable in greyscale: curves also differ in line style, marker and position.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.axes
import matplotlib.ticker
import numpy as np
import PIL.Image
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from mrm_jax.runtime import atomic

DOTS_PER_INCH = 120
PALETTE = 64  # colours
# Colours of Okabe and Ito (2008). Large hollow circles around small crosses keep both
# visible where two curves coincide.
STYLES: dict[str, dict[str, Any]] = {
    "mrm_jax": {
        "label": "mrm_jax",
        "color": "#0072B2",
        "linestyle": "-",
        "marker": "o",
        "markersize": 9,
        "markerfacecolor": "none",
    },
    "pytorch": {
        "label": "PyTorch",
        "color": "#D55E00",
        "linestyle": "--",
        "marker": "x",
        "markersize": 6,
    },
    "pytorch_moved": {
        "label": "PyTorch + 1 ulp",
        "color": "0.45",
        "linestyle": ":",
        "marker": "o",
        "markersize": 3,
    },
}
SPLITS = {"val": "validation", "test": "test"}
SIDE_BY_SIDE = {"mrm_jax": -0.12, "pytorch": 0.12}  # fraction of the seeds' distance


def same_weights(report: Mapping[str, Any], path: Path) -> None:
    """Draws loss, validation macro AUC and their differences by epoch.

    Args:
        report: report of parity_training in mode same_weights.
        path: PNG file to write.
    """
    what = (
        f"one start (seed {report['config']['seed']}), dropout off; + 1 ulp: every "
        "weight of the start is the next float32"
    )
    figure = _figure((12, 4.8), _title(report, what))
    panels = figure.subplots(1, 3)
    epochs = range(1, report["config"]["num_epochs"] + 1)
    for name, style in STYLES.items():
        curves = report["curves"][name]
        panels[0].plot(epochs, curves["loss"], **style)
        panels[1].plot(epochs, curves["val_macro_auc"]["mean"], **style)
    panels[0].set(title="training loss", ylabel="nats per record")
    panels[1].set(title="validation", ylabel="macro AUC of the branches' mean score")
    _draw_differences(panels[2], epochs, report["absolute_difference"])
    for axes in panels:
        whole = matplotlib.ticker.MaxNLocator(integer=True, min_n_ticks=1)
        axes.xaxis.set_major_locator(whole)
        axes.set(xlabel="epoch", xlim=(0.5, len(epochs) + 0.5))
        axes.grid(alpha=0.3)
        # Below the panel, where it hides no curve.
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False
        )
    _save(figure, path)


def seeds(report: Mapping[str, Any], path: Path) -> None:
    """Draws the macro AUC of each seed and the mean ± sd, with one panel per split.

    Args:
        report: report of parity_training in mode seeds.
        path: PNG file to write.
    """
    figure = _figure((9, 4.8), _title(report, "each with its own start and dropout"))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, split in zip(panels, SPLITS, strict=True):
        for name, shift in SIDE_BY_SIDE.items():
            values = report["final_auc"][name][split]
            _draw_seeds(axes, values, report["summary"][split][name], name, shift)
        places = [*range(len(report["seeds"])), len(report["seeds"]) + 0.5]
        axes.set_xticks(places, [*map(str, report["seeds"]), "mean ± sd"])
        axes.axvline(len(report["seeds"]) - 0.25, color="0.8")
        axes.grid(axis="y", alpha=0.3)
        axes.set(title=SPLITS[split], xlabel="seed")
    panels[0].set_ylabel("macro AUC of the branches' mean score")
    lines = panels[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=2, frameon=False)
    _save(figure, path)


def _draw_differences(
    axes: matplotlib.axes.Axes, epochs: range, difference: Mapping[str, Any]
) -> None:
    drawn: list[float] = []
    for name, found in difference.items():
        values = {"loss": found["loss"], "macro AUC": found["val_macro_auc"]["mean"]}
        for (what, curve), marker in zip(values.items(), "s^", strict=True):
            label = f"{STYLES[name]['label']}: {what}"
            style = STYLES[name] | {"label": label, "marker": marker}
            axes.plot(epochs, curve, **style)
            drawn += curve
    axes.set_yscale("log")
    if 0 in drawn:  # AUCs may be equal: linear scale below the smallest nonzero value
        smallest = min([value for value in drawn if value > 0], default=1.0)
        axes.set_yscale("symlog", linthresh=10 ** math.floor(math.log10(smallest)))
        axes.set_ylim(bottom=0)
    axes.set(title="distance from PyTorch", ylabel="|difference| (nats, macro AUC)")


def _draw_seeds(
    axes: matplotlib.axes.Axes,
    values: Sequence[float],
    summary: Mapping[str, float],
    name: str,
    shift: float,
) -> None:
    style = STYLES[name] | {"linestyle": "none"}
    axes.plot([seed + shift for seed in range(len(values))], values, **style)
    style |= {"label": "_in the legend already", "capsize": 5}
    axes.errorbar(len(values) + 0.5 + shift, summary["mean"], summary["sd"], **style)


def _title(report: Mapping[str, Any], what: str) -> str:
    data, config = report["data"], report["config"]
    sizes = " / ".join(f"{count:,}" for count in data["records"].values())
    return (
        f"{data['data_set']} {data['data_set_version']}, label set "
        f"{data['label_set']}\n{sizes} records (train / val / test), "
        f"{config['num_epochs']} epochs, batch {config['batch_size']}\n{what}"
    )


def _figure(size: tuple[float, float], title: str) -> Figure:
    figure = Figure(size, DOTS_PER_INCH, layout="constrained")
    figure.suptitle(title, parse_math=False)
    return figure


def _save(figure: Figure, path: Path) -> None:
    canvas = backend_agg.FigureCanvasAgg(figure)
    canvas.draw()
    pixels = PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with atomic.replacing(path) as temporary:
        # A palette reduces the file, which is kept in the repository, to a third.
        pixels.quantize(PALETTE).save(temporary, optimize=True)
