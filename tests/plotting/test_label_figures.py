import copy

import numpy as np
import pytest
from matplotlib.backends import backend_agg

from mrm_jax.plotting import label_figures, style
from tests.helpers import page_data

NAMES = ["A", "B", "C"]


@pytest.fixture(autouse=True)
def settings():
    with style.settings():
        yield


@pytest.fixture
def rows():
    return page_data.report_of(page_data.split_of(100, 3), NAMES)["labels"]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_each_label_has_a_bar_an_interval_and_a_number(rows):
    canvas = label_figures.bars(rows, "auc", "AUC", "mean")
    (axes,) = canvas.axes
    mean = [row["heads"]["mean"] for row in rows]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(ends, [of["auc"] for of in mean])
    assert {bar.get_x() for bar in axes.patches} == {0.5}
    assert texts(axes) == [f"{of['auc']:.3f}" for of in mean]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == NAMES and axes.yaxis.get_inverted()
    interval, high, low = axes.lines
    drawn = interval.get_xdata().reshape(-1, 3)[:, :2]
    np.testing.assert_allclose(drawn, [of["auc_interval"] for of in mean])
    for line, head in ((high, "high"), (low, "low")):
        expected = [row["heads"][head]["auc"] for row in rows]
        np.testing.assert_allclose(line.get_xdata(), expected)


def test_heads_differ_by_more_than_colour(rows):
    _, high, low = label_figures.bars(rows, "auc", "AUC", "mean").axes[0].lines
    assert high.get_marker() != low.get_marker()


def test_bars_show_the_primary_head(rows):
    (axes,) = label_figures.bars(rows, "auc", "AUC", "low").axes
    assert texts(axes) == [f"{row['heads']['low']['auc']:.3f}" for row in rows]
    interval, *marks = axes.lines
    drawn = interval.get_xdata().reshape(-1, 3)[:, :2]
    ends = [row["heads"]["low"]["auc_interval"] for row in rows]
    np.testing.assert_allclose(drawn, ends)
    assert [line.get_label() for line in marks] == ["mean", "high"]


def test_undefined_values_are_marked(rows):
    rows = copy.deepcopy(rows)
    for of_head in rows[1]["heads"].values():
        of_head |= {"auc": None, "auc_interval": None}
    canvas = label_figures.bars(rows, "auc", "AUC", "mean")
    assert texts(canvas.axes[0])[1] == "none"
    style.markup(canvas, "x", "x")


def test_bars_below_chance_stay_inside_the_axes(rows):
    rows = copy.deepcopy(rows)
    rows[2]["heads"]["low"]["auc"] = 0.2
    low_end, _ = label_figures.bars(rows, "auc", "AUC", "mean").axes[0].get_xlim()
    assert low_end < 0.2


def test_a_small_matrix_has_a_number_in_each_cell():
    shares = np.array([[1.0, 0.25], [np.nan, np.nan]])
    canvas = label_figures.matrix(["A", "B"], shares, "found", "label")
    (axes,) = canvas.axes
    places = {text.get_position(): text.get_text() for text in axes.texts}
    assert places == {(0, 0): "100", (1, 0): "25", (0, 1): "", (1, 1): ""}


def test_a_large_matrix_has_a_colour_scale_instead_of_numbers():
    shares = np.eye(71)
    canvas = label_figures.matrix(
        [f"L{i}" for i in range(71)], shares, "found", "label"
    )
    axes, scale = canvas.axes
    assert not axes.texts
    assert scale.get_yticklabels()[-1].get_text() == "100 %"
    np.testing.assert_array_equal(axes.images[0].get_array(), shares)


@pytest.mark.parametrize("names", [["A"], ["A", "B"], ["a long name of a label"] * 3])
def test_the_title_of_a_matrix_fits(names):
    shares, title = np.eye(len(names)), "label co-occurrence, predicted"
    canvas = label_figures.matrix(names, shares, title, "label")
    backend_agg.FigureCanvasAgg(canvas).draw()
    (written,) = canvas.texts
    assert written.get_text() == title
    box = written.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= canvas.bbox.width
