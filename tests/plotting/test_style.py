import re
from xml.etree import ElementTree

import pytest

from mrm_jax.plotting import style


@pytest.fixture(autouse=True)
def settings():
    with style.settings():
        yield


def drawn(title="a title", prefix="one", **options):
    canvas = style.figure(200, 100)
    axes = style.place(canvas, 40, 20, 100, 50)
    axes.plot((0, 1), (0, 1), marker="o")
    axes.bar(0.5, 1, hatch="//")
    axes.set_title(title)
    return style.markup(canvas, prefix, f"about {title}", **options)


def ids(text):
    return re.findall(r' id="([^"]+)"', text)


def references(text):
    return re.findall(r'(?:url\(#|href="#)([^)"]+)', text)


def test_ids_are_unique_to_the_figure_and_all_used():
    text = drawn()
    assert ids(text) and all(name.startswith("one-") for name in ids(text))
    assert len(ids(text)) == len(set(ids(text)))
    assert set(ids(text)) == set(references(text))


def test_similar_figures_share_no_id():
    assert not set(ids(drawn(prefix="one"))) & set(ids(drawn(prefix="two")))


def test_text_stays_text_and_is_escaped():
    title = 'a < b & "$\\frac{1" id="x"'
    root = ElementTree.fromstring(drawn(title))
    assert title in [element.text for element in root.iter("text")]
    assert root.get("aria-label") == f"about {title}" and root.get("role") == "img"
    assert "font-family" not in drawn(title)


def test_a_figure_does_not_affect_the_surrounding_page():
    assert "<style" not in drawn() and "xmlns" not in drawn()
    assert "<metadata" not in drawn() and "<!DOCTYPE" not in drawn()


def test_colours_are_variables_of_the_page():
    used = set(re.findall(r"#[0-9a-f]{6}", drawn()))
    found = set(re.findall(r"var\(--figure-(\w{6}), #(\w{6})\)", drawn()))
    assert {"#000000", "#ffffff"} <= used
    assert found == {
        (colour[1:], colour[1:]) for colour in used & {*style.DARK_COLOURS}
    }
    # What has no colour is black: it gets that of the page's text.
    root = ElementTree.fromstring(drawn())
    assert (root.get("class"), root.get("fill")) == ("themed", "currentColor")


def test_a_figure_that_is_not_themed_keeps_its_colours():
    text = drawn(themed=False)
    assert "var(" not in text and "currentColor" not in text
    assert "fill: #ffffff" in text


@pytest.mark.parametrize(
    "styles",
    [
        style.HEAD_STYLES,
        style.LOSSES,
        style.SPLITS,
        style.AVERAGES,
        style.TEMPERATURES,
    ],
)
def test_every_curve_has_a_colour_for_dark_pages(styles):
    for each in styles.values():
        assert each.colour.lower() in style.DARK_COLOURS, each.name


def test_size_and_margins_are_pixels():
    root = ElementTree.fromstring(drawn(scale=2.0, margins=(10, 5)))
    assert root.get("viewBox") == "10 5 180 90"
    assert (root.get("width"), root.get("height")) == ("360", "180")


def test_axes_are_placed_at_the_given_position():
    canvas = style.figure(200, 100)
    axes = style.place(canvas, 40, 20, 100, 50)
    assert axes.get_window_extent().bounds == pytest.approx((40, 20, 100, 50))


def test_the_same_figure_gives_the_same_text():
    assert drawn() == drawn()


def test_glyphs_missing_in_the_font_are_left_to_the_browser():
    assert "心房颤动" in drawn("心房颤动")


def test_long_names_are_shortened():
    assert style.shorten("STTC") == "STTC"
    assert style.shorten("a name far too long") == "a name far to…"
