"""Tests of the page in a browser, on a desktop and on a phone."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from mrm_jax.reports import html
from tests.helpers import browser as browser_lib
from tests.helpers import page_data

pytestmark = pytest.mark.slow

SMALLEST_TEXT = 11  # CSS pixels, as shown
FIGURES = """
return Array.from(document.querySelectorAll("figure"), figure => {
  const box = figure.getBoundingClientRect();
  const drawn = Array.from(figure.querySelectorAll("svg"), svg => {
    const {width, height} = svg.getBoundingClientRect();
    return {width, height};
  });
  return {id: figure.id, left: box.left, right: box.right, height: box.height, drawn};
});"""
# What leaves the page at its side, but for what scrolls in a box of its own.
WIDE = """
return Array.from(document.querySelectorAll("body *")).filter(
  each => !each.parentElement.closest(".scroll, .panel, svg")
    && each.getBoundingClientRect().right > innerWidth + 0.5
).map(each => each.tagName + "#" + each.id + "." + each.className);"""
TEXTS = """
return Array.from(document.querySelectorAll("figure text")).filter(
  each => each.textContent.trim()
).map(each => {
  const scale = each.ownerSVGElement.getScreenCTM().a;
  return [each.textContent, parseFloat(getComputedStyle(each).fontSize) * scale];
});"""
# Text that the edge of its own figure cuts.
CUT = """
return Array.from(document.querySelectorAll("svg")).flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return Array.from(svg.querySelectorAll("text"), text => {
    const own = text.getBoundingClientRect();
    const cut = own.left < box.left - 1 || own.right > box.right + 1
      || own.top < box.top - 1 || own.bottom > box.bottom + 1;
    return cut ? svg.getAttribute("aria-label") + ": " + text.textContent : null;
  });
}).filter(found => found);"""

# The colours of text and of the ground it is on, as red, green, blue. Figures that do
# not follow the theme are on white, whatever the page is.
CONTRASTS = """
const parse = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
const ground = each => {
  for (; each; each = each.parentElement) {
    if (each.matches("svg:not(.themed)")) return [255, 255, 255];
    const found = getComputedStyle(each).backgroundColor;
    if (!/^rgba.* 0\\)$/.test(found)) return parse(found);
  }
};
const own = each => Array.from(each.childNodes).some(
  node => node.nodeType == Node.TEXT_NODE && node.textContent.trim());
return Array.from(document.querySelectorAll("body *")).filter(
  each => own(each) && !each.closest("#label-co-occurrence svg")
).map(each => {
  const {color, fill} = getComputedStyle(each);
  return [each.textContent, parse(each.closest("svg") ? fill : color), ground(each)];
});"""
LINES = """
const parse = colour => colour.match(/[\\d.]+/g).map(Number);
return Array.from(document.querySelectorAll("svg.themed path, svg.themed use")).map(
  each => getComputedStyle(each)
).filter(style => style.stroke != "none" && style.strokeOpacity == 1).map(
  style => parse(style.stroke));"""
GROUND = "return getComputedStyle(document.body).backgroundColor"
SCROLLING = """
return Array.from(document.querySelectorAll(".scroll, .panel[tabindex]")).filter(
  each => each.checkVisibility() && each.closest("details")?.open !== false
).map(each => {
  each.scrollLeft = arguments[0] ? each.scrollWidth : 0;
  const {x, y, width, height} = each.getBoundingClientRect();
  return {name: each.ariaLabel, hidden: each.scrollWidth - each.clientWidth,
    box: {x: x + scrollX, y: y + scrollY, width, height}};
});"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browser_lib.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=[9, 71])
def path(request, tmp_path_factory):
    scores = page_data.split_of(400, request.param)
    names = [f"L{i}" if i % 5 else f"LONG{i}/NAME" for i in range(request.param)]
    report = page_data.report_of(scores, names)
    folder = tmp_path_factory.mktemp("run")
    signals = page_data.read_signal_mv
    return html.write(folder, report, scores, page_data.history(), signals)


class Shown(NamedTuple):
    """A page on a screen, with its console messages and requests."""

    script: Callable[[str], Any]  # runs a script in the page
    width: int  # of the screen, CSS pixels
    console: list[str]
    requests: list[str]
    address: str


@pytest.fixture(scope="module", params=["desktop", "phone"])
def shown(request, browser, path):
    size = {"desktop": browser_lib.DESKTOP, "phone": browser_lib.PHONE}[request.param]
    browser_lib.show(browser, path, size)
    console, requests = browser_lib.console(browser), browser_lib.requests(browser)
    return Shown(browser.execute_script, size[0], console, requests, path.as_uri())


def test_the_page_logs_nothing_and_requests_nothing(shown):
    assert shown.console == []
    assert shown.requests[0] == shown.address
    assert all(request.startswith("data:") for request in shown.requests[1:])


def test_every_figure_is_visible(shown):
    figures = shown.script(FIGURES)
    assert len(figures) >= 6
    for figure in figures:
        assert figure["drawn"], figure
        assert min(min(each.values()) for each in figure["drawn"]) > 100, figure
        assert 0 <= figure["left"] < figure["right"] <= shown.width, figure


def test_the_page_never_scrolls_sideways(shown):
    # A phone widens its window to what does not fit.
    assert shown.script("return innerWidth") == shown.width
    assert shown.script("return document.documentElement.scrollWidth") <= shown.width
    assert shown.script(WIDE) == []


def test_text_in_figures_is_legible(shown):
    sizes = shown.script(TEXTS)
    assert len(sizes) > 100
    assert [each for each in sizes if each[1] < SMALLEST_TEXT - 0.05] == []


def test_no_text_is_clipped_by_its_figure(shown):
    assert shown.script(CUT) == []


def test_ids_are_unique(shown):
    ids = shown.script(
        "return Array.from(document.querySelectorAll('[id]'), e => e.id)"
    )
    assert len(ids) == len(set(ids)) > 20


def contrast(one, other):
    """Returns the contrast of two colours, red, green and blue, from 1 to 21.

    References:
        W3C, Web Content Accessibility Guidelines 2.2, "contrast ratio".
    """
    linear = np.array([one, other]) / 255
    linear = np.where(
        linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4
    )
    dark, light = sorted(linear @ (0.2126, 0.7152, 0.0722) + 0.05)
    return light / dark


@pytest.mark.parametrize("size", [browser_lib.DESKTOP, browser_lib.PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_are_readable_in_light_and_dark(browser, path, scheme, size):
    with browser_lib.preferring(browser, scheme):
        browser_lib.show(browser, path, size)
        texts = browser.execute_script(CONTRASTS)
        lines = browser.execute_script(LINES)
        page = [
            int(part) for part in re.findall(r"\d+", browser.execute_script(GROUND))
        ]
    assert (max(page) < 50) if scheme == "dark" else (page == [255, 255, 255])
    assert len(texts) > 300 and len(lines) > 50
    assert [each for each in texts if contrast(*each[1:]) < 4.5] == []
    grounds = {tuple(ground) for _, _, ground in texts}
    assert tuple(page) in grounds
    # Grey lines of a random guess and the band of an epoch are meant to stand back.
    grey = {tuple(each) for each in lines if max(each) - min(each) < 20}
    coloured = {tuple(each) for each in lines} - grey
    assert len(coloured) >= 3
    assert [each for each in coloured if contrast(each, page) < 2.8] == []


@pytest.mark.parametrize("path", [9], indirect=True)
def test_ecgs_and_matrices_are_on_white_on_a_dark_page(browser, path):
    with browser_lib.preferring(browser, "dark"):
        browser_lib.show(browser, path, browser_lib.DESKTOP)
        boxes = scrolling(browser, "label co occurrence 1", "ECG of")
        for box, _ in boxes.values():
            image = browser_lib.pixels(browser, box)
            assert np.median(image.min(axis=-1)) > 200


def test_print_is_light_for_a_reader_who_prefers_dark(browser, path):
    with browser_lib.preferring(browser, "dark", "print"):
        browser_lib.show(browser, path, browser_lib.DESKTOP)
        assert browser.execute_script(GROUND) == "rgb(255, 255, 255)"
        texts = browser.execute_script(CONTRASTS)
    assert [each for each in texts if contrast(*each[1:]) < 4.5] == []


def scrolling(browser, *kinds, scrolled=False):
    """Returns the first box of each kind: kind -> its place, the width hidden.

    Args:
        browser: browser that shows the page.
        *kinds: beginnings of the names of boxes that scroll sideways.
        scrolled: whether everything is scrolled to its end first, or to its start.
    """
    boxes = browser.execute_script(SCROLLING, scrolled)
    first = [next(b for b in boxes if b["name"].startswith(kind)) for kind in kinds]
    return {k: (b["box"], b["hidden"]) for k, b in zip(kinds, first, strict=True)}


def right_edge(browser, box):
    """Returns the usual colour of a box at its right edge."""
    return np.median(browser_lib.pixels(browser, box)[:, -3], axis=0)


@pytest.mark.parametrize("path", [9], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edge_behind_which_a_table_goes_on_is_shaded(browser, path, scheme):
    kinds = ("all metrics", "all labels", "ECG of")
    with browser_lib.preferring(browser, scheme):
        browser_lib.show(browser, path, browser_lib.PHONE)
        edges = []
        for scrolled in (False, True):
            boxes = scrolling(browser, *kinds, scrolled=scrolled)
            assert min(hidden for _, hidden in boxes.values()) > 40
            edges.append([right_edge(browser, box) for box, _ in boxes.values()])
    for kind, start, end in zip(kinds, *edges, strict=True):
        assert np.abs(start - end).min() > 25, kind


@pytest.mark.parametrize("path", [9], indirect=True)
def test_the_edge_of_a_table_that_fits_is_plain(browser, path):
    browser_lib.show(browser, path, browser_lib.DESKTOP)
    ((box, hidden),) = scrolling(browser, "all metrics").values()
    assert hidden == 0
    np.testing.assert_array_equal(right_edge(browser, box), [255, 255, 255])


@pytest.mark.parametrize(
    ("size", "shown"), [(browser_lib.DESKTOP, False), (browser_lib.PHONE, True)]
)
def test_a_phone_says_how_to_see_the_rest_of_a_table(browser, path, size, shown):
    browser_lib.show(browser, path, size)
    hint = "return document.querySelector('.swipe').checkVisibility()"
    assert browser.execute_script(hint) == shown


def test_a_network_request_would_be_detected(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<img src=missing.png><script>console.warn('seen')</script>")
    browser_lib.show(browser, path, browser_lib.PHONE)
    assert any("seen" in message for message in browser_lib.console(browser))
    assert (tmp_path / "missing.png").as_uri() in browser_lib.requests(browser)
