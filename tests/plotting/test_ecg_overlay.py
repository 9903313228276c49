import numpy as np
import pytest

from mrm_jax.plotting import ecg_layout, ecg_overlay, ecg_paper

pytestmark = pytest.mark.slow

RATE = 100
LEADS = ("I", "II")
PER_MM = 8


def page_of(attribution, gates=None, signal_mv=None):
    """Returns the layout and the pixels [row, column, 3] of a page."""
    signal_mv = np.zeros((1000, 2)) if signal_mv is None else signal_mv
    overlay = ecg_overlay.Overlay("AF", attribution, gates or {})
    figure = ecg_paper.draw(signal_mv, RATE, LEADS, "", overlay=overlay)
    figure.set_dpi(ecg_layout.MM_PER_INCH * PER_MM)
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    lanes = ecg_layout.row_lanes(LEADS, len(signal_mv))
    return ecg_layout.arrange(lanes, signal_mv, 0, len(gates or {})), image, figure


def tinted(image, page, lane, above):
    """Returns the seconds that are shaded blue, and orange, beside a base line."""
    sign = 1 if above else -1
    height = page.lanes[lane].baseline_mm + sign * 2.5
    row = image[round((page.height_mm - height) * PER_MM)]
    orange, blue = row[:, 0] - row[:, 2] > 90, row[:, 2] - row[:, 0] > 60
    left = ecg_layout.START_MM * PER_MM
    seconds = (np.arange(image.shape[1]) + 0.5 - left) / (25 * PER_MM)
    return seconds[orange], seconds[blue]


def peak(lead, sample, value):
    """Returns an attribution to five samples of one lead."""
    attribution = np.zeros((1000, 2))
    attribution[sample : sample + 5, lead] = value
    return attribution


@pytest.mark.parametrize("lane", [0, 1])
def test_positive_contributions_are_above_the_base_line(lane):
    page, image, _ = page_of(peak(lane, 400, 0.1))
    orange, blue = tinted(image, page, lane, above=True)
    assert not len(blue)
    # Samples 400 to 404, each centred on its own time.
    assert orange.min() == pytest.approx(3.995, abs=0.006)
    assert orange.max() == pytest.approx(4.045, abs=0.006)
    for other in ((lane, False), (1 - lane, True), (1 - lane, False)):
        assert not any(len(colour) for colour in tinted(image, page, *other))


def test_negative_contributions_are_below_the_base_line():
    page, image, _ = page_of(peak(1, 700, -0.1))
    orange, blue = tinted(image, page, lane=1, above=False)
    assert not len(orange)
    assert blue.min() == pytest.approx(6.995, abs=0.006)
    assert not any(len(colour) for colour in tinted(image, page, lane=1, above=True))


def test_an_overlay_of_another_rate_covers_the_same_time():
    attribution = np.zeros((400, 2))
    attribution[200:210, 0] = 1.0  # of 400 in 6 s: from 3.0 s on
    page, image, _ = page_of(attribution, signal_mv=np.zeros((600, 2)))
    orange, _ = tinted(image, page, lane=0, above=True)
    assert orange.min() == pytest.approx(3.0 - 0.0075, abs=0.006)
    assert orange.max() == pytest.approx(3.15 - 0.0075, abs=0.006)


def test_the_99th_percentile_has_full_opacity():
    attribution = np.zeros((1000, 2))
    attribution[100:150, 0] = 0.02
    attribution[500, 0] = 50.0
    overlay = ecg_overlay.Overlay("AF", attribution, {})
    assert overlay.limit == pytest.approx(0.02)
    page, image, figure = page_of(attribution)
    orange, _ = tinted(image, page, lane=0, above=True)
    assert ((orange > 1) & (orange < 1.5)).any()
    written = [text.get_text() for text in figure.axes[0].texts]
    assert {"−0.02", "0", "+0.02"} <= set(written)
    assert any(
        "above the base line: raises the score of AF;" in text for text in written
    )


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_few_or_no_contributions_still_have_a_scale(value):
    attribution = np.zeros((1000, 2))
    attribution[0, 0] = value
    assert ecg_overlay.Overlay("AF", attribution, {}).limit == (value or 1.0)
    page_of(attribution)


def test_gates_are_drawn_below_on_the_same_time_axis():
    gate = np.zeros(1000)
    gate[300:400] = 1.0
    gates = {"high resolution": gate, "low resolution": 1 - gate}
    page, image, figure = page_of(np.zeros((1000, 2)), gates)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert {"high resolution", "low resolution", "0 s", "10 s"} <= set(written)
    columns = round((ecg_layout.START_MM + 25 * 3.5) * PER_MM)
    for bottom, share in zip(page.strips_mm, (1.0, 0.0), strict=True):
        height = bottom + share * ecg_layout.STRIP_MM
        middle = round((page.height_mm - height) * PER_MM)
        # The dashes of the second strip leave gaps: a few columns are looked at.
        part = image[middle - 1 : middle + 2, columns - 20 : columns + 20]
        assert part.min() < 100


@pytest.mark.parametrize(
    ("attribution", "gate", "match"),
    [
        (np.zeros(1000), np.zeros(1000), r"expected finite .*found \[1000\]"),
        (np.full((9, 2), np.nan), np.zeros(9), r"\[9, 2\] and 18 that are not finite"),
        (np.zeros((9, 2)), np.zeros(8), r"gate g: expected \[9\] numbers.*found \[8\]"),
        (np.zeros((9, 2)), np.full(9, 1.1), "gate g: expected .*from 1.1 to 1.1"),
        (np.zeros((9, 2)), np.full(9, np.nan), "gate g: expected .*from nan to nan"),
    ],
)
def test_mismatched_arrays_raise(attribution, gate, match):
    with pytest.raises(ValueError, match=match):
        ecg_overlay.Overlay("AF", attribution, {"g": gate})


def test_an_ecg_that_does_not_match_the_overlay_raises():
    overlay = ecg_overlay.Overlay("AF", np.zeros((1000, 3)), {})
    with pytest.raises(ValueError, match=r"a column for each of .*found \[1000, 3\]"):
        ecg_paper.draw(np.zeros((1000, 2)), RATE, LEADS, "", overlay=overlay)
    overlay = ecg_overlay.Overlay("AF", np.zeros((1000, 2)), {})
    with pytest.raises(ValueError, match="at most 10 s of signal, found 20 s"):
        ecg_paper.draw(np.zeros((2000, 2)), RATE, LEADS, "", overlay=overlay)
