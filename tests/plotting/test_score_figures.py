import numpy as np
import pytest
import sklearn.metrics

from mrm_jax.metrics import ranking
from mrm_jax.plotting import score_figures
from mrm_jax.plotting import style as style_lib
from tests.helpers import page_data


@pytest.fixture(autouse=True)
def settings():
    with style_lib.settings():
        yield


def split(num_records=300):
    """Returns scores, rounded so that many are equal, and labels, of one label."""
    of_all = page_data.split_of(num_records, 3)
    return of_all.mean[:, 2].round(1), of_all.labels[:, 2]


def test_curves_by_hand():
    scores, labels = np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 1, 0, 0])
    found = score_figures.curves(scores, labels)
    np.testing.assert_allclose(found.false_rate, [0, 0, 0.5, 1])
    np.testing.assert_allclose(found.recall, [0, 0.5, 1, 1])
    np.testing.assert_allclose(found.precision, [1, 1, 2 / 3, 0.5])
    recall, precision = found.precision_recall
    np.testing.assert_allclose(recall, [0, 0.5, 1])
    np.testing.assert_allclose(precision, [1, 1, 2 / 3])


def test_curves_are_those_of_scikit_learn():
    scores, labels = split()
    found = score_figures.curves(scores, labels)
    rates = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_rate, rates[0])
    np.testing.assert_allclose(found.recall, rates[1])
    precision, recall, _ = sklearn.metrics.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(found.precision[1:], precision[-2::-1])
    np.testing.assert_allclose(found.recall, recall[::-1])


def test_the_areas_are_the_metrics_of_the_tables():
    scores, labels = split()
    found = score_figures.curves(scores, labels)
    ranked, column = ranking.rank(scores[:, None]), labels[:, None]
    area = np.trapezoid(found.recall, found.false_rate)
    np.testing.assert_allclose(area, ranking.roc_auc(ranked, column)[0])
    area = np.sum(np.diff(found.recall) * found.precision[1:])
    np.testing.assert_allclose(area, ranking.average_precision(ranked, column)[0])


def test_macro_is_the_mean_of_the_labels():
    perfect = score_figures.curves(np.array([0.9, 0.1]), np.array([1, 0]))
    useless = score_figures.curves(np.array([0.5, 0.5]), np.array([1, 0]))
    recall, precision = score_figures.macro([perfect, useless])
    np.testing.assert_allclose(recall, (1 + score_figures.GRID) / 2)
    np.testing.assert_allclose(precision, np.full(len(score_figures.GRID), 0.75))


def test_long_curves_are_drawn_with_few_points_in_the_same_place():
    scores, labels = np.random.default_rng(0).random(50_000), np.arange(50_000) % 2
    canvas = score_figures.all_labels(scores[:, None], labels[:, None])
    (_, micro, macro), _ = (axes.lines for axes in canvas.axes)
    assert len(micro.get_xdata()) <= score_figures.MAX_POINTS
    found = np.interp(score_figures.GRID, micro.get_xdata(), micro.get_ydata())
    np.testing.assert_allclose(found, macro.get_ydata(), atol=0.01)


def test_a_label_has_a_curve_of_each_head_and_its_threshold():
    scores = page_data.split_of(200, 2)
    row = page_data.report_of(scores, ["A", "B"])["labels"][1]
    heads = {head: of_head[:, 1] for head, of_head in scores.heads.items()}
    canvas = score_figures.one_label(heads, scores.labels[:, 1], row, "mean")
    roc, pr = canvas.axes
    mean = row["heads"]["mean"]
    assert f"B: AUC {mean['auc']:.3f}" in canvas.get_suptitle()
    for axes in (roc, pr):
        names = [line.get_label() for line in axes.lines[1:4]]
        assert names == list(style_lib.HEADS)
    dot = [float(part[0]) for part in roc.lines[-1].get_data()]
    assert dot == pytest.approx([1 - mean["specificity"], mean["sensitivity"]])
    dot = [float(part[0]) for part in pr.lines[-1].get_data()]
    assert dot == pytest.approx([mean["sensitivity"], mean["ppv"]])


def test_lines_differ_by_more_than_colour():
    for styled in (style_lib.HEADS, style_lib.AVERAGES, style_lib.TEMPERATURES):
        lines = [style.line for style in styled.values()]
        assert len(set(lines)) == len(lines)


def test_reliability_shows_the_bins_and_leaves_out_empty_ones():
    bins = [
        {"from": 0.0, "to": 0.5, "cells": 30, "score": 0.1, "share": 0.2},
        {"from": 0.5, "to": 1.0, "cells": 0, "score": None, "share": None},
    ]
    calibration = {"reliability": bins, "reliability_scaled": bins}
    calibration |= {"ece": 0.1, "ece_scaled": None}
    canvas = score_figures.reliability(calibration, "high")
    assert canvas.get_suptitle() == "high: ECE 0.100, with temperature –"
    for line in canvas.axes[0].lines[1:]:
        np.testing.assert_array_equal(line.get_xdata(), [0.1, np.nan])
        np.testing.assert_array_equal(line.get_ydata(), [0.2, np.nan])
    style_lib.markup(canvas, "x", "x")
