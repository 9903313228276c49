"""Tests of pages and file names, with hand-made scores and explanations."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mrm_jax.data import preprocessing, recording, windows
from mrm_jax.inference import attribution, explanation, plots
from mrm_jax.plotting import ecg_layout
from mrm_jax.runtime import atomic
from tests.helpers import small_predictions
from tests.inference import test_prediction

EXPECTED = windows.InputSpec(100, 40, preprocessing.STRETCH_OR_CUT)
LEADS = recording.lead_names.LEADS


def make_windows(num_samples, columns=range(12)):
    """Returns a recording at 500 Hz with some of the leads, cut to windows of 0.4 s."""
    columns = list(columns)
    signal_mv = small_predictions.ecg_mv(num_samples)[:, columns]
    names = tuple(LEADS[column] for column in columns)
    return windows.cut(recording.Recording("A1", signal_mv, names, 500), EXPECTED)


def make_prediction(cut, **changes):
    """Returns scores of windows: AF is highest in the first, PVC in the second."""
    count = len(cut.start_s)
    scores = np.array([[0.8, 0.2, 0.2], [0.4, 0.7, 0.1], [0.4, 0.1, 0.1]])[:count]
    facts = {
        "duration_s": cut.recording.duration_s,
        "window_s": EXPECTED.duration_s,
        "window_starts_s": cut.start_s,
        "window_scores": dict.fromkeys(("mean", "high", "low"), scores),
        "notes": cut.notes,
    }
    return test_prediction.made(**facts | changes)


def explained(window=0):
    """Returns an explanation of PVC with a gap of one tenth."""
    values = np.full((EXPECTED.num_samples, len(LEADS)), 1.1 / 480)
    parts = attribution.Attribution(values, logit=0.5, baseline_logit=-0.5)
    gates = {"high": np.linspace(0, 1, 40), "low": np.linspace(1, 0, 40)}
    start_s = (0.0, 0.4, 0.6)[window]
    return explanation.Explanation("PVC", "mean", window, start_s, parts, gates)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def traces_mv(figure, num_samples):
    """Returns the traces [time, lead] that are drawn with so many samples."""
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    return np.stack([y for y in drawn if len(y) == num_samples], axis=1) / 10


def test_titles_list_the_predicted_labels():
    cut = make_windows(200)
    said = texts(plots.draw(cut, make_prediction(cut)))
    assert "A1" in said
    assert "found: AF 0.80, STD 0.20" in said
    assert not any("drawn" in line for line in said)


def test_titles_say_if_no_label_is_predicted():
    cut = make_windows(200)
    none = make_prediction(cut, thresholds=dict.fromkeys(("AF", "PVC", "STD"), 0.99))
    assert "nothing found; highest AF 0.80" in texts(plots.draw(cut, none))


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        (0.05, "Score 0.20, above the threshold 0.05."),
        (0.27, "Score 0.20, below the threshold 0.27."),
        (0.2, "Score 0.2000, at the threshold 0.2000."),
        (0.1996, "Score 0.2000, above the threshold 0.1996."),
    ],
)
def test_an_explanation_says_on_which_side_of_its_threshold_a_score_is(
    threshold, words
):
    cut = make_windows(200)
    result = make_prediction(cut, thresholds={"AF": 0.5, "PVC": threshold, "STD": 0.5})
    said = texts(plots.draw(cut, result, explained()))
    assert f"{words} Orange: raises the score; blue: lowers it." in said


def test_long_names_of_labels_stay_on_the_page():
    cut, label = make_windows(500), "-".join(["atrioventricular-block"] * 5)
    thresholds = {"AF": 0.5, label: 0.5, "STD": 0.5}
    result = make_prediction(cut, labels=tuple(thresholds), thresholds=thresholds)
    one = dataclasses.replace(explained(window=1), label=label)
    figure = plots.draw(cut, result, one)
    assert sum("atrioventricular-block" in line for line in texts(figure)) > 2
    figure.canvas.draw()
    paper_right = ecg_layout.PAPER_LEFT_MM + ecg_layout.PAPER_WIDTH_MM
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        (left, _), (right, _) = figure.axes[0].transData.inverted().transform(box)
        assert 0 < left <= right < paper_right + 1, text.get_text()


def test_draws_the_window_with_the_highest_score():
    cut = make_windows(500)
    thresholds = {"AF": 0.9, "PVC": 0.3, "STD": 0.9}
    figure = plots.draw(cut, make_prediction(cut, thresholds=thresholds))
    said = texts(figure)
    assert "found, mean of 3 windows: PVC 0.33" in said
    assert "drawn: window 2 of 3, from 0.4 s to 0.8 s of 1 s" in said
    (rhythm,) = traces_mv(figure, 200).T
    expected = small_predictions.ecg_mv(500)[200:400, 1]
    np.testing.assert_allclose(np.diff(rhythm), np.diff(expected), atol=1e-9)


def test_draws_the_window_that_shows_most_of_the_labels_found():
    cut = make_windows(500)
    thresholds = {"AF": 0.5, "PVC": 0.3, "STD": 0.9}
    result = make_prediction(cut, thresholds=thresholds)
    assert result.found == ("AF", "PVC")
    # AF is highest in the first window; both together are in the second.
    assert "drawn: window 2 of 3, from 0.4 s to 0.8 s of 1 s" in texts(
        plots.draw(cut, result)
    )


def test_if_nothing_is_found_the_window_of_the_highest_score_is_drawn():
    cut = make_windows(500)
    scores = np.array([[0.1, 0.2, 0.1], [0.1, 0.1, 0.1], [0.1, 0.3, 0.1]])
    result = make_prediction(
        cut,
        thresholds=dict.fromkeys(("AF", "PVC", "STD"), 0.9),
        window_scores=dict.fromkeys(("mean", "high", "low"), scores),
    )
    said = texts(plots.draw(cut, result))
    assert "nothing found, mean of 3 windows; highest PVC 0.20" in said
    assert "drawn: window 3 of 3, from 0.6 s to 1 s of 1 s" in said


def test_a_window_can_be_chosen():
    cut = make_windows(500)
    result = make_prediction(cut)
    said = texts(plots.draw(cut, result, window=2))
    assert "drawn: window 3 of 3, from 0.6 s to 1 s of 1 s" in said
    with pytest.raises(ValueError, match="window: expected 0 to 2, got 3"):
        plots.draw(cut, result, window=3)


def test_an_explained_window_shows_the_networks_leads():
    columns = [11, 10, 9, 8, 7, 6, 1, 0]  # no III, aVR, aVL, aVF, and turned round
    cut = make_windows(500, columns)
    figure = plots.draw(cut, make_prediction(cut), explained(window=2))
    drawn = traces_mv(figure, 200)
    expected = small_predictions.ecg_mv(500)[300:500]
    np.testing.assert_allclose(
        np.diff(drawn, axis=0), np.diff(expected, axis=0), 0, 3e-3
    )
    said = texts(figure)
    assert "A1: evidence for and against PVC" in said
    assert (
        "Score 0.10 in this window; mean of 3 windows 0.33, below the threshold 0.50. "
        "Orange: raises the score; blue: lowers it."
    ) in said
    assert "PVC: extra beat" in said
    assert (
        "Logit of the mean head +0.50, without any voltage -0.50. The shaded "
        "contributions sum to +1.10, an error of 10.0%."
    ) in said
    assert "drawn: window 3 of 3, from 0.6 s to 1 s of 1 s" in said
    assert "note: III, aVR, aVL, aVF computed from I and II" in said


def test_a_stretched_record_keeps_its_time_axis():
    cut = make_windows(150)
    figure = plots.draw(cut, make_prediction(cut), explained())
    drawn = traces_mv(figure, 150)
    expected = small_predictions.ecg_mv(150)
    np.testing.assert_allclose(
        np.diff(drawn, axis=0), np.diff(expected, axis=0), 0, 1e-9
    )
    # 0.3 s are 7.5 mm, over which the shades are spread as well.
    left, right, *_ = figure.axes[0].images[0].get_extent()
    assert right - left == pytest.approx(7.5)
    assert "note: stretched from 0.3 s to 0.4 s, as in training" in texts(figure)
    assert "drawn: as recorded; the network's input is 0.4 s long" in texts(figure)


def test_draws_only_the_scored_beginning_of_a_record():
    cut = windows.cut(make_windows(500).recording, EXPECTED, first_only=True)
    figure = plots.draw(cut, make_prediction(cut, aggregate="first"))
    assert "drawn and scored: the first 0.4 s of 1 s" in texts(figure)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["in/A1.hea", "in/A2.npy"], ["A1", "A2"]),
        (["in/a/1.hea", "in/b/1.hea", "in/b/2.hea"], ["a-1", "b-1", "2"]),
        (["in/1.hea", "in/b/1.hea"], ["1", "b-1"]),
        (["1.hea", "1.csv", "1.npy"], ["1", "1-2", "1-3"]),
        (["a/R.hea", "b/r.hea"], ["a-R", "b-r"]),
        (["a/1.hea", "b/1.hea", "a-1.hea"], ["a-1", "b-1", "a-1-2"]),
        (["../x/1.hea", "../y/1.hea"], ["x-1", "y-1"]),
        (["two words.csv", "...hea", "a--b.hea"], ["two-words", "record", "a-b"]),
        (["é\n:/\\*.hea"], ["record"]),
        ([f"{'x' * 200}1.npy"], [f"{'x' * 59}1"]),
    ],
)
def test_file_names_are_valid_and_distinct(paths, names):
    assert plots.file_names(list(map(Path, paths))) == names


def test_names_of_any_script_fit_in_a_file_name(tmp_path):
    (record,) = plots.file_names([Path(f"{'心' * 84}.npy")])
    label = plots.label_names(["é" * 200, "心" * 200])["心" * 200]
    assert record == label == "心" * 32
    with atomic.replacing(tmp_path / f"{record}-99--{label}-99.webp") as temporary:
        temporary.touch()


def test_labels_that_differ_in_signs_have_plots_of_their_own():
    labels = ("ST+", "ST-", "LAO/LAE", "st", "ST-2")
    names = list(plots.label_names(labels).values())
    assert names == ["ST", "ST-2", "LAO-LAE", "st-3", "ST-2-2"]
