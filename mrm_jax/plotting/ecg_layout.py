"""The layout of an ECG page: positions of leads, title and strips, in millimetres.

All lengths are measured on the printed page, from its lower left corner.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float

MM_PER_INCH = 25.4
MM_PER_S = 25.0
MM_PER_MV = 10.0
SQUARE_MM = 5.0  # a big square; the height of a lane is a multiple of it
MAX_SECONDS = 10.0

PAGE_WIDTH_MM = 297.0  # of A4, landscape
PAPER_LEFT_MM = 13.5
PAPER_WIDTH_MM = 270.0
PULSE_MM = PAPER_LEFT_MM + SQUARE_MM  # the calibration pulse rises here
PULSE_MV = 1.0
PULSE_S = 0.2
START_MM = PAPER_LEFT_MM + 3 * SQUARE_MM  # position of time 0
MARGIN_MM = 8.0  # above and below everything
LINE_MM = 5.0  # a line of the title
TITLE_GAP_MM = 2.0  # below it
FOOTER_MM = 7.0
STRIP_MM = 3 * SQUARE_MM  # a strip below the leads
STRIP_GAP_MM = SQUARE_MM
AXIS_MM = SQUARE_MM  # the time, written below the strips
LEGEND_MM = 12.0  # the legend of colours, below that

# The largest deflection that a lane makes room for; larger ones are clipped. They are
# artefacts or pacemaker spikes and would push the other leads off the page.
MAX_DEFLECTION_MM = 40.0
CLEARANCE_MM = 1.5  # between a trace and the end of its lane
NAME_MM = SQUARE_MM  # height of names above the traces

COLUMNS = (
    ("I", "II", "III"),
    ("aVR", "aVL", "aVF"),
    ("V1", "V2", "V3"),
    ("V4", "V5", "V6"),
)
RHYTHM_LEAD = "II"
_CLINICAL = {name.upper(): name for column in COLUMNS for name in column}

Place = TypeVar("Place", float, np.ndarray)


@dataclasses.dataclass(frozen=True)
class Segment:
    """A part of one lead."""

    name: str  # in clinical notation
    column: int | None  # of the signal; None if the lead was not recorded
    start: int  # samples
    stop: int


@dataclasses.dataclass(frozen=True)
class Lane:
    """Segments side by side on one base line."""

    segments: tuple[Segment, ...]
    bottom_mm: float
    baseline_mm: float
    top_mm: float  # names above the traces included

    @property
    def limits_mm(self) -> tuple[float, float]:
        """Lower and upper end of the lane, where larger traces are clipped."""
        return self.bottom_mm, self.top_mm - name_height(self.segments)


@dataclasses.dataclass(frozen=True)
class Page:
    """A page: title, lanes on ECG paper, strips below them, footer."""

    height_mm: float
    lanes: tuple[Lane, ...]  # from top to bottom
    strips_mm: tuple[float, ...]  # lower ends of strips, from top to bottom
    legend_mm: float  # lower end of the legend

    @property
    def paper_mm(self) -> tuple[float, float]:
        """Lower and upper end of the ECG paper."""
        return self.lanes[-1].bottom_mm, self.lanes[0].top_mm


def points(length_mm: float) -> float:
    """Returns a length in points, the unit of line widths and font sizes."""
    return length_mm / MM_PER_INCH * 72


def clinical(lead: str) -> str:
    """Returns a lead's name in clinical notation, aVR for AVR."""
    return _CLINICAL.get(lead.upper(), lead)


def place_mm(time_s: Place) -> Place:
    """Returns the distance from the left edge at which a time is drawn."""
    return START_MM + MM_PER_S * time_s


def name_height(segments: Sequence[Segment]) -> float:
    """Returns the height of names above the traces; 0 for a single segment."""
    return NAME_MM if len(segments) > 1 else 0.0


def standard_lanes(leads: Sequence[str], num_samples: int) -> list[tuple[Segment, ...]]:
    """Returns three lanes of four leads, each a quarter of the time, and lead II."""
    place = {clinical(lead): column for column, lead in enumerate(leads)}
    ends = [num_samples * i // len(COLUMNS) for i in range(len(COLUMNS) + 1)]
    lanes = [
        tuple(
            Segment(name, place.get(name), start, stop)
            for name, start, stop in zip(names, ends[:-1], ends[1:], strict=True)
        )
        for names in zip(*COLUMNS, strict=True)
    ]
    rhythm = RHYTHM_LEAD if RHYTHM_LEAD in place else next(iter(place))
    return [*lanes, (Segment(rhythm, place[rhythm], 0, num_samples),)]


def row_lanes(leads: Sequence[str], num_samples: int) -> list[tuple[Segment, ...]]:
    """Returns a lane for every lead, with its whole duration."""
    return [
        (Segment(clinical(lead), column, 0, num_samples),)
        for column, lead in enumerate(leads)
    ]


def arrange(
    lanes: Sequence[tuple[Segment, ...]],
    signal_mv: Float[np.ndarray, "time lead"],
    num_title_lines: int,
    num_strips: int | None = None,
) -> Page:
    """Returns a page on which every lane is as high as its traces need.

    No trace overlaps another, and base lines lie on the lines of big squares. The page
    is A4, or longer if a record has large deflections or is drawn in rows.

    Args:
        lanes: lanes from top to bottom.
        signal_mv: [time, lead], millivolts relative to the base lines.
        num_title_lines: number of lines above the lanes.
        num_strips: number of strips below the lanes, with an axis and a legend; None
            for no strips, axis or legend.
    """
    legend = MARGIN_MM + FOOTER_MM
    bottom = legend
    if num_strips is not None:
        bottom += LEGEND_MM + AXIS_MM + num_strips * (STRIP_GAP_MM + STRIP_MM)
    placed: list[Lane] = []
    for segments in reversed(lanes):
        start = placed[-1].top_mm if placed else bottom
        down = max(_peak_mm(segments, signal_mv, -1), 0.0)
        up = max(_peak_mm(segments, signal_mv, 1), PULSE_MV * MM_PER_MV)
        baseline = start + _squares(down)
        top = baseline + _squares(up) + name_height(segments)
        placed.append(Lane(segments, start, baseline, top))
    title = TITLE_GAP_MM + num_title_lines * LINE_MM + MARGIN_MM
    return Page(
        height_mm=placed[-1].top_mm + title,
        lanes=tuple(reversed(placed)),
        strips_mm=tuple(
            bottom - (i + 1) * (STRIP_GAP_MM + STRIP_MM) for i in range(num_strips or 0)
        ),
        legend_mm=legend,
    )


def _peak_mm(
    segments: Sequence[Segment], signal_mv: Float[np.ndarray, "time lead"], sign: int
) -> float:
    """Returns the largest deflection of a lane upwards (sign 1) or downwards (-1)."""
    peaks_mv = [
        (sign * signal_mv[part.start : part.stop, part.column]).max()
        for part in segments
        if part.column is not None and part.stop > part.start
    ]
    return min(max(peaks_mv, default=0.0) * MM_PER_MV, MAX_DEFLECTION_MM)


def _squares(length_mm: float) -> float:
    """Returns a length plus clearance, rounded up to whole big squares."""
    return SQUARE_MM * math.ceil((length_mm + CLEARANCE_MM) / SQUARE_MM)
