"""Draws the explanation of a score over the ECG.

Position and colour both show the sign: contributions in favour of the label are shaded
above the base line, contributions against it below. Colours are those of Okabe and Ito
(2008).
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colors
from matplotlib.axes import Axes

from mrm_jax.plotting import ecg_layout
from mrm_jax.plotting import style as style_lib

FOR_COLOUR, AGAINST_COLOUR = "#D55E00", "#0072B2"
PERCENTILE = 99.0  # of absolute values; scaling by the maximum would fade the rest
STRONGEST = 0.75  # maximum opacity: grid and trace stay visible
GATE_COLOURS = ("black", "#0072B2", "#009E73", "#CC79A7")
GATE_LINES = ("-", "--", "-.", ":")
TEXT_POINTS = 7
LEGEND_WIDTH_MM = 60.0
LEGEND_LETTERS = 40  # of a label's name; more would leave the page


@dataclasses.dataclass(frozen=True)
class Overlay:
    """The contribution of every sample of an ECG to the logit of one label.

    The samples are those of the network's input. They are spread evenly over the drawn
    time, whatever the sampling rate of the drawn signal.
    """

    label: str
    attribution: Float[
        np.ndarray, "time lead"
    ]  # parts of the logit; leads in drawing order
    gates: Mapping[
        str, Float[np.ndarray, " time"]
    ]  # name -> values from 0 to 1; one strip each

    def __post_init__(self) -> None:
        """Checks shapes and values.

        Raises:
            ValueError: if a shape is wrong, a value not finite or a gate out of range.
        """
        if self.attribution.ndim != 2 or not np.isfinite(self.attribution).all():
            raise ValueError(
                "attribution: expected finite numbers [time, lead], found "
                f"{list(self.attribution.shape)} and "
                f"{np.sum(~np.isfinite(self.attribution))} that are not finite"
            )
        for name, gate in self.gates.items():
            shape = self.attribution.shape[:1]
            if gate.shape != shape or not ((gate >= 0) & (gate <= 1)).all():
                raise ValueError(
                    f"gate {name}: expected {list(shape)} numbers from 0 to 1, found "
                    f"{list(gate.shape)} from {gate.min()} to {gate.max()}"
                )

    @property
    def limit(self) -> float:
        """The contribution at which the colour saturates."""
        absolute = np.abs(self.attribution)
        return float(np.percentile(absolute, PERCENTILE) or absolute.max() or 1.0)

    def check_fits(self, leads: Sequence[str], duration_s: float) -> None:
        """Checks that the overlay fits an ECG.

        Raises:
            ValueError: if the number of leads differs, or the ECG is too long to be
                drawn completely.
        """
        if self.attribution.shape[1] != len(leads):
            raise ValueError(
                f"attribution: expected a column for each of {list(leads)}, found "
                f"{list(self.attribution.shape)}"
            )
        # Half a percent: rounding may lengthen a window by a sample or two.
        if duration_s > 1.005 * ecg_layout.MAX_SECONDS:
            raise ValueError(
                f"an overlay needs at most {ecg_layout.MAX_SECONDS:g} s of signal, "
                f"found {duration_s:g} s; pass the window that was explained"
            )


def draw(
    axes: Axes, page: ecg_layout.Page, overlay: Overlay, duration_s: float
) -> None:
    """Draws the contributions behind the lanes, the gates in strips, and a legend.

    Args:
        axes: axes of the page, in millimetres.
        page: page with a lane for every lead, a strip for every gate and a legend.
        overlay: explanation to draw.
        duration_s: duration of the overlay, seconds.
    """
    # The shade of a sample is centred on its time, where its trace is drawn.
    half_s = duration_s / len(overlay.attribution) / 2
    ends_s = np.array([-half_s, duration_s - half_s])
    left, right = ecg_layout.place_mm(ends_s).tolist()
    strength = np.clip(overlay.attribution / overlay.limit, -1, 1)
    for lane in page.lanes:
        (segment,) = lane.segments
        heights = (lane.limits_mm[0], lane.baseline_mm, lane.limits_mm[1])
        _shade(axes, strength[:, segment.column], (left, right), heights)
    styles = zip(GATE_COLOURS, GATE_LINES, strict=True)
    gates = zip(overlay.gates.items(), page.strips_mm, itertools.cycle(styles))
    for (name, gate), bottom, style in gates:
        _draw_gate(axes, bottom, (name, gate), (left, right), style)
    _write_seconds(axes, min(page.strips_mm, default=page.paper_mm[0]), duration_s)
    _draw_legend(axes, page.legend_mm, overlay)


def _shade(
    axes: Axes,
    strength: Float[np.ndarray, " time"],
    ends_mm: tuple[float, float],
    heights_mm: tuple[float, float, float],
) -> None:
    """Shades a lane: above its base line where strength is positive, below otherwise.

    Args:
        axes: axes of the page.
        strength: [time], from -1 to 1.
        ends_mm: left end of the first and right end of the last sample, millimetres.
        heights_mm: lower end, base line and upper end of the lane, millimetres.
    """
    bottom, middle, top = heights_mm
    for colour, opacity, limits in (
        (FOR_COLOUR, strength, (middle, top)),
        (AGAINST_COLOUR, -strength, (bottom, middle)),
    ):
        shade = np.empty((1, len(strength), 4))
        shade[..., :3] = colors.to_rgb(colour)
        shade[..., 3] = STRONGEST * np.maximum(opacity, 0)
        axes.imshow(
            shade, extent=(*ends_mm, *limits), aspect="auto", interpolation="nearest"
        )


def _draw_gate(
    axes: Axes,
    bottom_mm: float,
    named_gate: tuple[str, Float[np.ndarray, " time"]],
    ends_mm: tuple[float, float],
    style: tuple[str, str],
) -> None:
    """Draws a gate over time, from 0 at the bottom of its strip to 1 at the top."""
    (name, gate), (left, right), (colour, dashes) = named_gate, ends_mm, style
    for share in (0.0, 0.5, 1.0):
        level = bottom_mm + share * ecg_layout.STRIP_MM
        axes.plot((left, right), (level, level), color="0.8", linewidth=0.5)
        _write(axes, (left - 1.5, level), f"{share:g}", "right")
    across = left + (np.arange(len(gate)) + 0.5) * (right - left) / len(gate)
    up = bottom_mm + gate * ecg_layout.STRIP_MM
    axes.plot(across, up, color=colour, linestyle=dashes, linewidth=0.8)
    _write(axes, (left, bottom_mm + ecg_layout.STRIP_MM + 2), name, "left")


def _write_seconds(axes: Axes, above_mm: float, duration_s: float) -> None:
    """Writes a time axis with whole seconds below a height."""
    for second in range(int(duration_s) + 1):
        place = ecg_layout.place_mm(float(second))
        axes.plot(
            (place, place), (above_mm, above_mm - 1), color="black", linewidth=0.5
        )
        _write(axes, (place, above_mm - 3), f"{second} s", "center")


def _draw_legend(axes: Axes, bottom_mm: float, overlay: Overlay) -> None:
    """Draws the legend of the shades: a scale, and a sentence beside it."""
    left, right = ecg_layout.START_MM, ecg_layout.START_MM + LEGEND_WIDTH_MM
    heights = (bottom_mm + 4, bottom_mm + 6.5, bottom_mm + 9)
    _shade(axes, np.linspace(-1, 1, 201), (left, right), heights)
    for share in (-1, 0, 1):
        place = left + (share + 1) / 2 * LEGEND_WIDTH_MM
        axes.plot((place, place), heights[::2], color="black", linewidth=0.5)
        value = f"{share * overlay.limit:+.2g}".replace("-", "−") if share else "0"
        _write(axes, (place, bottom_mm + 2), value, "center")
    name = style_lib.shorten(overlay.label, LEGEND_LETTERS)
    text = (
        f"orange, above the base line: raises the score of {name}; blue, below it: "
        "lowers the score\n(contribution of each sample to the logit, by integrated "
        f"gradients; colours saturate at their {PERCENTILE:g}th percentile)"
    )
    _write(axes, (right + 6, heights[1]), text, "left")


def _write(axes: Axes, place_mm: tuple[float, float], text: str, align: str) -> None:
    axes.text(
        *place_mm, text, size=TEXT_POINTS, ha=align, va="center", parse_math=False
    )
