"""Where the leads of an ECG stand on a page, in millimetres.

Every length is that of the printed page; its origin is the lower left corner.
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
SQUARE_MM = 5.0  # a big square; a lane is a whole number of them high
MAX_SECONDS = 10.0

PAGE_WIDTH_MM = 297.0  # of A4, landscape
PAPER_LEFT_MM = 13.5
PAPER_WIDTH_MM = 270.0
PULSE_MM = PAPER_LEFT_MM + SQUARE_MM  # where the calibration pulse rises
PULSE_MV = 1.0
PULSE_S = 0.2
START_MM = PAPER_LEFT_MM + 3 * SQUARE_MM  # where time 0 stands
MARGIN_MM = 8.0  # above and below everything
LINE_MM = 5.0  # a line of the title
TITLE_GAP_MM = 2.0  # below it
FOOTER_MM = 7.0
STRIP_MM = 3 * SQUARE_MM  # a strip below the leads
STRIP_GAP_MM = SQUARE_MM
AXIS_MM = SQUARE_MM  # the time, written below the strips
LEGEND_MM = 12.0  # what colours mean, below that

# The largest deflection that a lane makes room for. Beyond it a trace is cut: what is
# larger is an artefact or a pacemaker's spike, and would push the others off the page.
MAX_DEFLECTION_MM = 40.0
CLEARANCE_MM = 1.5  # between a trace and the end of its lane
NAME_MM = SQUARE_MM  # what names above the traces take

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

    name: str  # as clinicians write it
    column: int | None  # of the signal; None where the lead was not recorded
    start: int  # samples
    stop: int


@dataclasses.dataclass(frozen=True)
class Lane:
    """Segments one after another, about one base line."""

    segments: tuple[Segment, ...]
    bottom_mm: float
    baseline_mm: float
    top_mm: float  # names above the traces included

    @property
    def limits_mm(self) -> tuple[float, float]:
        """Where a trace ends that leaves the lane."""
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
    """Returns a length in points, the unit of line widths and letters."""
    return length_mm / MM_PER_INCH * 72


def clinical(lead: str) -> str:
    """Returns a lead's name as clinicians write it: aVR for AVR."""
    return _CLINICAL.get(lead.upper(), lead)


def place_mm(time_s: Place) -> Place:
    """Returns how far from the left edge a moment is drawn."""
    return START_MM + MM_PER_S * time_s


def name_height(segments: Sequence[Segment]) -> float:
    """Returns what names need above the traces: one alone stands beside its trace."""
    return NAME_MM if len(segments) > 1 else 0.0


def standard_lanes(leads: Sequence[str], num_samples: int) -> list[tuple[Segment, ...]]:
    """Returns three lanes of four leads, a quarter of the time each, and lead II."""
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
    """Returns a lane for every lead, with all of its time."""
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

    So no trace runs into another, base lines stand on the lines of big squares, and
    the page is A4 or, where a record is large or drawn in rows, longer.

    Args:
        lanes: from top to bottom.
        signal_mv: about the base lines.
        num_title_lines: above the lanes.
        num_strips: below the lanes, with an axis and a legend; None: neither.
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
    """Returns how far the traces of a lane go up (sign 1) or down (-1)."""
    peaks_mv = [
        (sign * signal_mv[part.start : part.stop, part.column]).max()
        for part in segments
        if part.column is not None and part.stop > part.start
    ]
    return min(max(peaks_mv, default=0.0) * MM_PER_MV, MAX_DEFLECTION_MM)


def _squares(length_mm: float) -> float:
    """Returns a length, with a clearance, as whole big squares."""
    return SQUARE_MM * math.ceil((length_mm + CLEARANCE_MM) / SQUARE_MM)
