"""Tests of the page in a browser, on a desktop and on a phone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from mrm_jax.reports import html
from tests.helpers import browser as browser_lib
from tests.helpers import page_data

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


def test_a_network_request_would_be_detected(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<img src=missing.png><script>console.warn('seen')</script>")
    browser_lib.show(browser, path, browser_lib.PHONE)
    assert any("seen" in message for message in browser_lib.console(browser))
    assert (tmp_path / "missing.png").as_uri() in browser_lib.requests(browser)
