import numpy as np
import pytest

from mrm_jax.metrics import curves
from mrm_jax.plotting import score_figures
from mrm_jax.plotting import style as style_lib
from tests.helpers import page_data


@pytest.fixture(autouse=True)
def settings():
    with style_lib.settings():
        yield


def test_long_curves_are_thinned_without_moving():
    scores, labels = np.random.default_rng(0).random(50_000), np.arange(50_000) % 2
    canvas = score_figures.all_labels(scores[:, None], labels[:, None])
    (_, micro, macro), _ = (axes.lines for axes in canvas.axes)
    assert len(micro.get_xdata()) <= score_figures.MAX_POINTS
    found = np.interp(curves.GRID, micro.get_xdata(), micro.get_ydata())
    np.testing.assert_allclose(found, macro.get_ydata(), atol=0.01)


def test_a_label_has_a_curve_per_head_and_its_threshold():
    scores = page_data.split_of(200, 2)
    row = page_data.report_of(scores, ["A", "B"])["labels"][1]
    heads = {head: of_head[:, 1] for head, of_head in scores.heads.items()}
    canvas = score_figures.one_label(heads, scores.labels[:, 1], row, "mean")
    roc, pr = canvas.axes
    mean = row["heads"]["mean"]
    assert f"B: AUC {mean['auc']:.3f}" in canvas.get_suptitle()
    for axes in (roc, pr):
        names = [line.get_label() for line in axes.lines[1:4]]
        assert names == list(style_lib.HEAD_STYLES)
    dot = [float(part[0]) for part in roc.lines[-1].get_data()]
    assert dot == pytest.approx([1 - mean["specificity"], mean["sensitivity"]])
    dot = [float(part[0]) for part in pr.lines[-1].get_data()]
    assert dot == pytest.approx([mean["sensitivity"], mean["ppv"]])


def test_lines_differ_by_more_than_colour():
    for styled in (style_lib.HEAD_STYLES, style_lib.AVERAGES, style_lib.TEMPERATURES):
        lines = [style.line for style in styled.values()]
        assert len(set(lines)) == len(lines)


def test_reliability_omits_empty_bins():
    bins = [
        {"from": 0.0, "to": 0.5, "cells": 30, "score": 0.1, "share": 0.2},
        {"from": 0.5, "to": 1.0, "cells": 0, "score": None, "share": None},
    ]
    calibration = {"reliability": bins, "reliability_scaled": bins}
    calibration |= {"ece": 0.1, "ece_scaled": None}
    canvas = score_figures.reliability(calibration, "high")
    assert canvas.get_suptitle() == "high: ECE 0.100, temperature-scaled –"
    for line in canvas.axes[0].lines[1:]:
        np.testing.assert_array_equal(line.get_xdata(), [0.1, np.nan])
        np.testing.assert_array_equal(line.get_ydata(), [0.2, np.nan])
    style_lib.markup(canvas, "x", "x")
