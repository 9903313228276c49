"""Draws ECGs on ECG paper at 25 mm/s and 10 mm/mV, as cardiologists read them."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib import textpath
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from mrm_jax.plotting import ecg_layout, ecg_overlay, ecg_traces
from mrm_jax.runtime import atomic

DOTS_PER_INCH = 254  # ten pixels a millimetre, so that the grid falls on whole pixels
SUFFIXES = (".png", ".svg", ".pdf")
LAYOUTS = ("auto", "standard", "rows")

PAPERS = {"A4, landscape": 210.0, "A3": 420.0}  # maximum height in mm
HEADLINE_FONT = FontProperties(size=11, weight="bold")
TEXT_FONT = FontProperties(size=9)
FOOTER_POINTS = 7
DISCLAIMER = "for research only, not a medical device"

Line = tuple[str, FontProperties]  # a text and its font


def draw(
    signal_mv: Float[np.ndarray, "time lead"],
    sampling_rate: float,
    leads: Sequence[str],
    title: str,
    *,
    overlay: ecg_overlay.Overlay | None = None,
    layout: str = "auto",
) -> Figure:
    """Returns a page with an ECG, drawn to scale.

    Each lead is drawn relative to its median, since the offset of an electrode carries
    no information. Only the first ten seconds of a longer recording are drawn; the
    footer says so.

    Args:
        signal_mv: [time, lead], millivolts.
        sampling_rate: sampling rate, Hz.
        leads: names of the columns of signal_mv, in either notation (AVR, aVR).
        title: plain text, whose first line is bold. Long lines are wrapped.
        overlay: explanation to draw over the leads; the layout is then "rows".
        layout: "standard" draws three rows of four leads, 2.5 s each, above a strip of
            lead II; "rows" draws the whole duration of each lead in a row of its own;
            "auto" is standard for the twelve leads and rows otherwise.

    Raises:
        ValueError: if the arguments do not fit each other, or a sample is not finite.
    """
    _check(signal_mv, sampling_rate, leads, layout)
    num_drawn = min(len(signal_mv), round(ecg_layout.MAX_SECONDS * sampling_rate))
    window = np.asarray(signal_mv[:num_drawn], np.float64)
    window = window - np.median(window, axis=0)
    if overlay is not None:
        overlay.check_fits(leads, len(signal_mv) / sampling_rate)
    rows = overlay is not None or _chosen(layout, leads) == "rows"
    lanes = ecg_layout.row_lanes if rows else ecg_layout.standard_lanes
    title_lines = _broken(title)
    num_strips = len(overlay.gates) if overlay else None
    page = ecg_layout.arrange(
        lanes(leads, num_drawn), window, len(title_lines), num_strips
    )
    figure = _blank(page)
    axes = figure.axes[0]
    ecg_traces.draw_grid(axes, page)
    if overlay is not None:
        ecg_overlay.draw(axes, page, overlay, num_drawn / sampling_rate)
    for lane in page.lanes:
        ecg_traces.draw_lane(axes, lane, window, sampling_rate)
    _write_title(axes, page, title_lines)
    _write_footer(axes, page, sampling_rate, (num_drawn, len(signal_mv)))
    return figure


def save(figure: Figure, path: Path | str) -> None:
    """Writes a page as PNG, SVG or PDF, completely or not at all.

    The same page always gives the same bytes, as the file contains no date.

    Raises:
        ValueError: if the suffix is not one of SUFFIXES.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a suffix out of {', '.join(SUFFIXES)}")
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with (
        matplotlib.rc_context({"svg.hashsalt": "mrm_jax"}),
        atomic.replacing(path) as temporary,
    ):
        figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata=undated.get(suffix))


def _check(
    signal_mv: np.ndarray, sampling_rate: float, leads: Sequence[str], layout: str
) -> None:
    if signal_mv.ndim != 2 or signal_mv.shape[1] != len(leads) or len(signal_mv) < 2:
        raise ValueError(
            f"signal_mv: expected [time, {len(leads)}], a column for each of "
            f"{list(leads)} and at least two samples, found {list(signal_mv.shape)}"
        )
    if not len(leads) or len({lead.upper() for lead in leads}) < len(leads):
        raise ValueError(f"leads: expected distinct names, found {list(leads)}")
    if not (math.isfinite(sampling_rate) and sampling_rate > 0):
        raise ValueError(f"sampling_rate: expected more than 0 Hz, got {sampling_rate}")
    finite = np.isfinite(signal_mv).all(axis=0)
    if not finite.all():
        spoilt = [lead for lead, whole in zip(leads, finite, strict=True) if not whole]
        raise ValueError(
            f"signal_mv: found NaN or infinite samples in {', '.join(spoilt)}; fill "
            "the gaps or remove the leads"
        )
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {LAYOUTS}, got {layout!r}")


def _chosen(layout: str, leads: Sequence[str]) -> str:
    if layout != "auto":
        return layout
    known = {name for column in ecg_layout.COLUMNS for name in column}
    found = {ecg_layout.clinical(lead) for lead in leads}
    return "standard" if known <= found else "rows"


def _broken(title: str) -> list[Line]:
    """Returns the lines of a title, wrapped to the width of the paper."""
    fonts = itertools.chain([HEADLINE_FONT], itertools.repeat(TEXT_FONT))
    return [
        (part, font)
        for line, font in zip(title.splitlines(), fonts, strict=False)
        for part in _wrap(line, font)
    ]


def _wrap(line: str, font: FontProperties) -> list[str]:
    # Pixels round the width of a letter, so text is drawn wider than its outlines.
    widest = 0.98 * ecg_layout.points(ecg_layout.PAPER_WIDTH_MM)
    num_letters = len(line) + 1
    while True:
        parts = textwrap.wrap(line, num_letters) or [""]
        found = max(_width(part, font) for part in parts)
        if found <= widest or num_letters == 1:
            return parts
        num_letters = min(num_letters - 1, int(num_letters * widest / found))


def _width(text: str, font: FontProperties) -> float:
    """Returns the width of a text in points."""
    return textpath.text_to_path.get_text_width_height_descent(text, font, False)[0]


def _blank(page: ecg_layout.Page) -> Figure:
    """Returns an empty page, with axes over the whole page in millimetres."""
    width, height = ecg_layout.PAGE_WIDTH_MM, page.height_mm
    inch = ecg_layout.MM_PER_INCH
    figure = Figure((width / inch, height / inch), DOTS_PER_INCH)
    backend_agg.FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)
    axes.set_axis_off()
    return figure


def _write_title(
    axes: Axes, page: ecg_layout.Page, title_lines: Sequence[Line]
) -> None:
    for number, (text, font) in enumerate(title_lines, 1):
        place = page.height_mm - ecg_layout.MARGIN_MM - ecg_layout.LINE_MM * number
        axes.text(
            ecg_layout.PAPER_LEFT_MM, place, text, fontproperties=font, parse_math=False
        )


def _write_footer(
    axes: Axes, page: ecg_layout.Page, sampling_rate: float, samples: tuple[int, int]
) -> None:
    drawn, recorded = (f"{number / sampling_rate:.4g} s" for number in samples)
    parts = [
        f"{ecg_layout.MM_PER_S:g} mm/s, {ecg_layout.MM_PER_MV:g} mm/mV",
        f"{sampling_rate:g} Hz",
        drawn if drawn == recorded else f"the first {drawn} of {recorded}",
        "each lead relative to its median",
        f"to scale if printed at 100 % on {_paper(page)}",
    ]
    left = ecg_layout.PAPER_LEFT_MM
    right = left + ecg_layout.PAPER_WIDTH_MM
    for place, text, align in (
        (left, "  |  ".join(parts), "left"),
        (right, DISCLAIMER, "right"),
    ):
        axes.text(place, ecg_layout.MARGIN_MM, text, size=FOOTER_POINTS, ha=align)


def _paper(page: ecg_layout.Page) -> str:
    for name, height_mm in PAPERS.items():
        if page.height_mm <= height_mm:
            return name
    return f"{ecg_layout.PAGE_WIDTH_MM:.0f} x {page.height_mm:.0f} mm"
