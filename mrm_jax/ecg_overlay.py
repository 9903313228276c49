"""An explanation of a score, laid over the ECG it belongs to.

Sign is told by place and by colour: what speaks for the label stands above the base
line, what speaks against it below. Colours of Okabe and Ito (2008).
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colors
from matplotlib.axes import Axes

from mrm_jax import ecg_layout

FOR_COLOUR, AGAINST_COLOUR = "#D55E00", "#0072B2"
PERCENTILE = 99.0  # of the absolute values; the largest would leave the others pale
STRONGEST = 0.75  # opacity: grid and trace stay visible
GATE_COLOURS = ("black", "#0072B2", "#009E73", "#CC79A7")
GATE_LINES = ("-", "--", "-.", ":")
TEXT_POINTS = 8


@dataclasses.dataclass(frozen=True)
class Overlay:
    """What every sample of an ECG gave to the logit of one label.

    The samples are those that the network saw. They are spread evenly over the time
    that is drawn, whatever the rate of the drawn signal.
    """

    label: str
    attribution: Float[np.ndarray, "time lead"]  # parts of the logit; leads as drawn
    gates: Mapping[str, Float[np.ndarray, " time"]]  # name -> 0 to 1; a strip each

    def __post_init__(self) -> None:
        """Refuses arrays that do not belong together.

        Raises:
            ValueError: if a shape is wrong, a number missing or a gate out of range.
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
        """The contribution that is drawn in full colour; no more is."""
        absolute = np.abs(self.attribution)
        return float(np.percentile(absolute, PERCENTILE) or absolute.max() or 1.0)

    def check_fits(self, leads: Sequence[str], duration_s: float) -> None:
        """Refuses an ECG that this does not explain.

        Raises:
            ValueError: if the number of leads differs or the ECG is not drawn whole.
        """
        if self.attribution.shape[1] != len(leads):
            raise ValueError(
                f"attribution: expected a column for each of {list(leads)}, found "
                f"{list(self.attribution.shape)}"
            )
        # Half a percent: a sample or two that rounding a window may add.
        if duration_s > 1.005 * ecg_layout.MAX_SECONDS:
            raise ValueError(
                f"an overlay needs at most {ecg_layout.MAX_SECONDS:g} s of signal, "
                f"found {duration_s:g} s; give the window that was explained"
            )


def draw(
    axes: Axes, page: ecg_layout.Page, overlay: Overlay, duration_s: float
) -> None:
    """Draws contributions behind the lanes, and the strips of the gates.

    Args:
        axes: of the page, in millimetres.
        page: with a lane for every lead and a strip for every gate.
        overlay: what to draw.
        duration_s: over which the overlay's samples are spread.
    """
    ends_mm = ecg_layout.place_mm(0.0), ecg_layout.place_mm(duration_s)
    strength = np.clip(overlay.attribution / overlay.limit, -1, 1)
    for lane in page.lanes:
        (segment,) = lane.segments
        if segment.column is not None:
            _shade(axes, strength[:, segment.column], lane, ends_mm)
    _draw_bar(axes, page, overlay)
    for number, (name, gate) in enumerate(overlay.gates.items()):
        _draw_gate(axes, page.strips_mm[number], name, gate, ends_mm, number)
    if overlay.gates:
        _write_seconds(axes, page.strips_mm[-1], duration_s)


def _shade(axes: Axes, strength: np.ndarray, lane, ends_mm) -> None:
    bottom, top = lane.limits_mm
    for colour, opacity, limits in (
        (FOR_COLOUR, strength, (lane.baseline_mm, top)),
        (AGAINST_COLOUR, -strength, (bottom, lane.baseline_mm)),
    ):
        axes.imshow(
            _tint(colour, opacity)[None],
            extent=(*ends_mm, *limits),
            aspect="auto",
            interpolation="nearest",
            zorder=1,
        )


def _tint(colour: str, opacity: np.ndarray) -> np.ndarray:
    """Returns a colour [..., rgba] of these opacities; negative ones are 0."""
    tint = np.empty((*opacity.shape, 4))
    tint[..., :3] = colors.to_rgb(colour)
    tint[..., 3] = STRONGEST * np.maximum(opacity, 0)
    return tint


def _draw_bar(axes: Axes, page: ecg_layout.Page, overlay: Overlay) -> None:
    """Draws what the colours mean."""


def _draw_gate(axes: Axes, bottom_mm: float, name: str, gate, ends_mm, number) -> None:
    """Draws one gate over time in its strip."""


def _write_seconds(axes: Axes, bottom_mm: float, duration_s: float) -> None:
    """Writes the time below the last strip."""
