"""Draws ECG paper and traces, on axes in millimetres."""

import numpy as np
from jaxtyping import Float
from matplotlib import lines, patches, path
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties

from mrm_jax.plotting import ecg_layout

SMALL_SQUARE_COLOUR = "#f7d9d6"
BIG_SQUARE_COLOUR = "#e9aca6"
INK = "black"
SMALL_SQUARE_LINE_MM, BIG_SQUARE_LINE_MM = 0.1, 0.2
TRACE_MM = 0.25
SEPARATOR_MM = 0.15
NAME_POINTS = 9

Samples = Float[np.ndarray, "time lead"]


def draw_grid(axes: Axes, page: ecg_layout.Page) -> None:
    """Draws the grid, with squares of 1 mm and of 5 mm."""
    left = ecg_layout.PAPER_LEFT_MM
    right = left + ecg_layout.PAPER_WIDTH_MM
    bottom, top = page.paper_mm
    for step, colour, width in (
        (1.0, SMALL_SQUARE_COLOUR, SMALL_SQUARE_LINE_MM),
        (ecg_layout.SQUARE_MM, BIG_SQUARE_COLOUR, BIG_SQUARE_LINE_MM),
    ):
        upright = [((x, bottom), (x, top)) for x in _steps(left, right, step)]
        level = [((left, y), (right, y)) for y in _steps(bottom, top, step)]
        # One path, as an element for each line would make an SVG a seventh larger.
        ends = np.reshape(upright + level, (-1, 2))
        codes = [path.Path.MOVETO, path.Path.LINETO] * (len(ends) // 2)
        axes.add_artist(  # add_patch would measure every line for the limits
            patches.PathPatch(
                path.Path(ends, codes),
                edgecolor=colour,
                linewidth=ecg_layout.points(width),
                capstyle="projecting",
                fill=False,
                snap=True,
                zorder=0,
            )
        )


def draw_lane(
    axes: Axes, lane: ecg_layout.Lane, signal_mv: Samples, sampling_rate: float
) -> None:
    """Draws a lane: calibration pulse, traces, names and separators."""
    _draw_pulse(axes, lane.baseline_mm)
    for segment in lane.segments:
        left = ecg_layout.place_mm(segment.start / sampling_rate)
        if segment.start:
            _draw_line(axes, (left, left), lane.limits_mm, SEPARATOR_MM)
        hint = "not recorded"
        if segment.column is not None:
            hint = _draw_trace(axes, lane, segment, signal_mv, sampling_rate)
        _write_name(axes, lane, segment.name, hint, left)


def _write_name(
    axes: Axes, lane: ecg_layout.Lane, name: str, hint: str, left: float
) -> None:
    """Writes a name above its trace, or below the pulse in a lane of one segment."""
    font = FontProperties(size=NAME_POINTS)
    place, top = left + 1, lane.top_mm - 3.5
    if len(lane.segments) > 1:
        axes.text(place, top, f"{name}  {hint}", fontproperties=font, parse_math=False)
        return
    middle = ecg_layout.PULSE_MM + ecg_layout.SQUARE_MM / 2
    under = lane.baseline_mm - 4
    axes.text(middle, under, name, fontproperties=font, ha="center", parse_math=False)
    axes.text(place, top, hint, fontproperties=font)


def _draw_pulse(axes: Axes, baseline_mm: float) -> None:
    """Draws the calibration pulse, 1 mV for 0.2 s."""
    rise = ecg_layout.PULSE_MM
    fall = rise + ecg_layout.PULSE_S * ecg_layout.MM_PER_S
    top = baseline_mm + ecg_layout.PULSE_MV * ecg_layout.MM_PER_MV
    foot = ecg_layout.SQUARE_MM / 2
    across = (rise - foot, rise, rise, fall, fall, fall + foot)
    up = (baseline_mm, baseline_mm, top, top, baseline_mm, baseline_mm)
    _draw_line(axes, across, up, TRACE_MM)


def _draw_trace(
    axes: Axes,
    lane: ecg_layout.Lane,
    segment: ecg_layout.Segment,
    signal_mv: Samples,
    sampling_rate: float,
) -> str:
    """Draws a segment; returns a hint for its name, "" if the trace is complete."""
    # One sample more than the segment has, so that it ends at the separator.
    samples = np.arange(segment.start, min(segment.stop + 1, len(signal_mv)))
    height = signal_mv[samples, segment.column] * ecg_layout.MM_PER_MV
    up = lane.baseline_mm + height
    across = ecg_layout.place_mm(samples / sampling_rate)
    bottom, top = lane.limits_mm
    line = _draw_line(axes, across, up, TRACE_MM)
    line.set_clip_path(
        patches.Rectangle(
            (0, bottom),
            ecg_layout.PAGE_WIDTH_MM,
            top - bottom,
            transform=axes.transData,
        )
    )
    if bottom <= up.min() and up.max() <= top:
        return ""
    low, high = height.min(), height.max()
    scale = ecg_layout.MM_PER_MV
    return f"clipped, {low / scale:+.1f} to {high / scale:+.1f} mV"


def _draw_line(axes: Axes, across, up, width_mm: float) -> lines.Line2D:
    (line,) = axes.plot(
        across,
        up,
        color=INK,
        linewidth=ecg_layout.points(width_mm),
        solid_joinstyle="round",
        solid_capstyle="butt",
    )
    return line


def _steps(start: float, stop: float, step: float) -> np.ndarray:
    return start + step * np.arange(round((stop - start) / step) + 1)
