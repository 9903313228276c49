import itertools
import re

import matplotlib.image
import numpy as np
import pytest
from PIL import Image

from mrm_jax.data import leads
from mrm_jax.plotting import ecg_layout, ecg_overlay, ecg_paper

pytestmark = pytest.mark.slow

RATE = 100
BIG_SQUARE = (0xE9, 0xAC, 0xA6)
SMALL_SQUARE = (0xF7, 0xD9, 0xD6)
STANDARD = (
    ("I", "AVR", "V1", "V4"),
    ("II", "AVL", "V2", "V5"),
    ("III", "AVF", "V3", "V6"),
)


def flat(seconds=10.0, num_leads=12):
    return np.zeros((round(seconds * RATE), num_leads))


def pixels(figure, per_mm=10):
    """Returns a page as bytes [row, column, 3]."""
    figure.set_dpi(ecg_layout.MM_PER_INCH * per_mm)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def inked(image):
    """Returns which pixels are nearly black."""
    return image.max(axis=-1) < 100


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def has_colour(image, colour):
    """Returns which pixels have a colour, give or take what mixing lines rounds."""
    return (np.abs(image.astype(int) - colour) <= 2).all(axis=-1)


def test_the_calibration_pulse_is_10_mm_high_and_5_mm_wide():
    figure = ecg_paper.draw(flat(num_leads=1), RATE, ["II"], "")
    pulse = inked(pixels(figure))[:, 185:236]
    rows, columns = np.nonzero(pulse[:-200])  # without the name under it
    assert columns.max() - columns.min() == 50
    top, foot = rows.min(), rows.max()
    assert foot - top == pytest.approx(100, abs=3)  # and the line's own width


def test_a_millivolt_is_10_mm_and_a_second_25_mm():
    signal_mv = flat(num_leads=1)
    signal_mv[200:300] = 1.5
    figure = ecg_paper.draw(signal_mv, RATE, ["V1"], "")
    trace = inked(pixels(figure))[:, 290:]
    high = np.argmax(trace[:, 500 + 125])  # first inked pixel from above, at 2.5 s
    low = np.argmax(trace[:, 1500])
    assert low - high == pytest.approx(150, abs=1)
    at_middle = np.flatnonzero(trace[(low + high) // 2])
    # Up between samples 199 and 200, down between 299 and 300.
    assert at_middle.max() - at_middle.min() == pytest.approx(250, abs=4)


def test_squares_are_1_mm_and_5_mm_wide():
    image = pixels(ecg_paper.draw(flat(num_leads=1), RATE, ["II"], ""))
    for line in (image[:, 140], image[105]):
        # Lines are one and two pixels wide; of the latter the first counts.
        big = np.flatnonzero(has_colour(line, BIG_SQUARE))[::2]
        assert len(big) > 3
        assert set(np.diff(big)) == {50}
        small = np.flatnonzero(has_colour(line, SMALL_SQUARE))
        between = big[:-1, None] + 1 + np.arange(10, 50, 10)
        np.testing.assert_array_equal(small, between.ravel())


def changed_cells(changed, per_mm):
    """Returns in which (lane, quarter) of a standard page pixels changed."""
    lanes = ecg_layout.standard_lanes(leads.LEADS, 1000)
    page = ecg_layout.arrange(lanes, flat(), num_title_lines=0)
    edges = [round((28.5 + 62.5 * quarter) * per_mm) for quarter in range(5)]
    found = set()
    for number, lane in enumerate(page.lanes):
        ends = (page.height_mm - lane.top_mm, page.height_mm - lane.bottom_mm)
        rows = changed[slice(*(round(end * per_mm) for end in ends))]
        for quarter, (left, right) in enumerate(itertools.pairwise(edges)):
            # Without the edge itself, where lines of two leads meet.
            if rows[:, left + 2 : right - 2].any():
                found.add((number, quarter))
    return found


def test_every_lead_is_at_its_standard_position():
    calm = pixels(ecg_paper.draw(flat(), RATE, leads.LEADS, ""), per_mm=2)
    for number, names in enumerate(STANDARD):
        for column, lead in enumerate(names):
            spikes_mv = flat()
            spikes_mv[125::250, leads.LEADS.index(lead)] = 0.8
            figure = ecg_paper.draw(spikes_mv, RATE, leads.LEADS, "")
            changed = (pixels(figure, per_mm=2) != calm).any(axis=-1)
            strip = {(3, quarter) for quarter in range(4)} if lead == "II" else set()
            assert changed_cells(changed, per_mm=2) == {(number, column)} | strip, lead


def test_accepts_leads_in_any_order_and_notation():
    rng = np.random.default_rng(0)
    signal_mv = rng.normal(0, 0.3, (1000, 12))
    order = rng.permutation(12)
    names = [ecg_layout.clinical(leads.LEADS[i]) for i in order]
    assert "aVR" in names
    one = ecg_paper.draw(signal_mv, RATE, leads.LEADS, "")
    other = ecg_paper.draw(signal_mv[:, order], RATE, names, "")
    np.testing.assert_array_equal(pixels(one, 3), pixels(other, 3))


def test_names_use_clinical_notation():
    written = texts(ecg_paper.draw(flat(), RATE, leads.LEADS, ""))
    assert {"aVR", "aVL", "aVF"} <= {name.strip() for name in written}


def test_an_electrode_offset_does_not_move_traces():
    signal_mv = np.random.default_rng(0).normal(0, 0.3, (1000, 12))
    one = ecg_paper.draw(signal_mv, RATE, leads.LEADS, "")
    other = ecg_paper.draw(signal_mv + 2.0, RATE, leads.LEADS, "")
    np.testing.assert_array_equal(pixels(one, 3), pixels(other, 3))


def test_a_large_wave_does_not_leave_its_lane():
    signal_mv = flat(num_leads=3)
    signal_mv[500:520, 1] = 3.0
    figure = ecg_paper.draw(signal_mv, RATE, ["I", "II", "III"], "")
    assert not any("cut" in text for text in texts(figure))
    trace = inked(pixels(figure))
    column = np.flatnonzero(trace[:, 285 + 1275])
    # Base lines of I, II and III: the wave ends well below that of I.
    first, wave = column[0], column[column > column[0] + 20][0]
    assert wave - first > 50


def test_an_artefact_is_clipped_and_marked():
    signal_mv = flat(num_leads=2)
    signal_mv[500:520, 1] = 30.0
    figure = ecg_paper.draw(signal_mv, RATE, ["I", "II"], "")
    hint = "clipped, +0.0 to +30.0 mV"
    assert any(hint in text for text in texts(figure))
    assert figure.get_size_inches()[1] * ecg_layout.MM_PER_INCH < 150
    first = np.flatnonzero(inked(pixels(figure))[:, 285 + 1275])[0]
    signal_mv[:, 1] = 0
    calm = ecg_paper.draw(signal_mv, RATE, ["I", "II"], "")
    assert first == np.flatnonzero(inked(pixels(calm))[:, 285 + 1275])[0]


def test_only_ten_seconds_of_a_long_record_are_drawn():
    long = ecg_paper.draw(flat(31.0), RATE, leads.LEADS, "")
    assert any("the first 10 s of 31 s" in text for text in texts(long))
    assert any(
        " 10 s " in text
        for text in texts(ecg_paper.draw(flat(), RATE, leads.LEADS, ""))
    )


@pytest.mark.parametrize("seconds", [0.05, 6.2])
def test_a_short_record_is_drawn(seconds):
    trace = inked(pixels(ecg_paper.draw(flat(seconds, 1), RATE, ["II"], "")))
    columns = np.flatnonzero(trace[:-200, 280:].any(axis=0))
    assert len(columns) == pytest.approx((seconds - 0.01) * 250 + 1, abs=2)


def test_a_lead_that_was_not_recorded_is_named():
    figure = ecg_paper.draw(
        flat(num_leads=7), RATE, leads.LEADS[:7], "", layout="standard"
    )
    missing = {text.split()[0] for text in texts(figure) if "not recorded" in text}
    assert missing == {"V2", "V3", "V4", "V5", "V6"}


def test_other_leads_are_drawn_in_rows():
    figure = ecg_paper.draw(flat(num_leads=2), RATE, ["MLII", "V5"], "")
    assert {"MLII", "V5"} <= set(texts(figure))
    assert not any("not recorded" in text for text in texts(figure))


def test_text_neither_overlaps_nor_leaves_the_page():
    title = "a name without an end " * 20 + "\n" + "W" * 400 + "\nfound: $AF_{1}$ 0.9"
    signal_mv = np.random.default_rng(0).normal(0, 0.5, (1000, 12))
    gate = np.full(1000, 0.5)
    overlay = ecg_overlay.Overlay("AF", signal_mv, {"high": gate, "low": gate})
    for extra in (None, overlay):
        figure = ecg_paper.draw(signal_mv, RATE, leads.LEADS, title, overlay=extra)
        boxes = [
            text.get_window_extent()
            for text in figure.axes[0].texts
            if text.get_text().strip()
        ]
        assert len(boxes) > 17
        for box in boxes:
            assert figure.bbox.x0 < box.x0 and box.x1 < figure.bbox.x1
            assert figure.bbox.y0 < box.y0 and box.y1 < figure.bbox.y1
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)


def test_saved_pages_have_their_physical_size(tmp_path):
    figure = ecg_paper.draw(flat(), RATE, leads.LEADS, "a record")
    width, height = figure.get_size_inches() * 72
    for suffix in ("png", "svg", "pdf"):
        ecg_paper.save(figure, tmp_path / f"page.{suffix}")
    with Image.open(tmp_path / "page.png") as image:
        inches = np.array(image.size) / image.info["dpi"]
    np.testing.assert_allclose(inches * 72, (width, height), rtol=1e-3)
    svg = (tmp_path / "page.svg").read_text()
    sizes = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    np.testing.assert_allclose(
        [float(size) for size in sizes.groups()], (width, height), rtol=1e-3
    )
    box = re.search(
        rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", (tmp_path / "page.pdf").read_bytes()
    )
    np.testing.assert_allclose(
        [float(size) for size in box.groups()], (width, height), rtol=1e-3
    )
    assert width == pytest.approx(297 / 25.4 * 72)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_page_gives_the_same_bytes(tmp_path, suffix):
    for name in ("one", "other"):
        figure = ecg_paper.draw(flat(), RATE, leads.LEADS, "a record")
        ecg_paper.save(figure, tmp_path / f"{name}.{suffix}")
    one, other = (tmp_path / f"{name}.{suffix}" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_saved_png_equals_the_drawn_page(tmp_path):
    figure = ecg_paper.draw(flat(), RATE, leads.LEADS, "a record")
    ecg_paper.save(figure, tmp_path / "page.png")
    saved = matplotlib.image.imread(tmp_path / "page.png")[..., :3]
    np.testing.assert_array_equal((saved * 255).round(), pixels(figure))


def test_other_suffixes_raise(tmp_path):
    figure = ecg_paper.draw(flat(), RATE, leads.LEADS, "")
    with pytest.raises(ValueError, match=r"page.bmp: expected a suffix out of .png"):
        ecg_paper.save(figure, tmp_path / "page.bmp")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_samples_raise(bad):
    signal_mv = flat(num_leads=2)
    signal_mv[3, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinite samples in II;"):
        ecg_paper.draw(signal_mv, RATE, ["I", "II"], "")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"signal_mv": flat()[:, 0]}, r"expected \[time, 12\].*found \[1000\]"),
        ({"signal_mv": flat().T}, r"found \[12, 1000\]"),
        ({"signal_mv": flat()[:1]}, r"at least two samples, found \[1, 12\]"),
        ({"leads": ["I", "i"] * 6}, "expected distinct names"),
        ({"sampling_rate": 0.0}, "expected more than 0 Hz, got 0"),
        ({"sampling_rate": np.nan}, "expected more than 0 Hz, got nan"),
        ({"layout": "cabrera"}, "layout: expected one of .*got 'cabrera'"),
    ],
)
def test_inconsistent_arguments_raise(changes, match):
    arguments = {
        "signal_mv": flat(),
        "sampling_rate": RATE,
        "leads": leads.LEADS,
        "title": "",
    }
    with pytest.raises(ValueError, match=match):
        ecg_paper.draw(**(arguments | changes))
