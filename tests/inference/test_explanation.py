import numpy as np
import pytest
from scipy import special

import mrm_jax
from mrm_jax.data import preprocessing
from mrm_jax.inference import attribution, explanation
from tests.helpers import small_predictions, small_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return small_predictions.write_run(tmp_path_factory.mktemp("explanation"))


@pytest.fixture(scope="module")
def model(workdir):
    return mrm_jax.load(workdir, head="high")


def made(values, logit, baseline_logit):
    parts = attribution.Attribution(np.array(values), logit, baseline_logit)
    return explanation.Explanation("fast", "mean", 1, 0.4, parts, {})


def resampled_uv(signal_mv):
    resampled = preprocessing.resample(signal_mv, 500, 100)
    return preprocessing.to_microvolts(resampled).astype(np.float32)


def test_gap_is_relative_to_the_change():
    one = made([[1.0, 0.5], [0.25, 0.25]], 1.5, -1.0)
    assert one.change == 2.5
    assert one.gap == pytest.approx(0.2)
    assert made([[-2.5]], -1.5, 1.0).gap == 0
    assert repr(one) == (
        "<Explanation of fast, mean head, window 1 from 0.4 s: logit +1.50, without "
        "voltage -1.00, gap 20.0%>"
    )


def test_without_a_change_the_gap_is_one():
    assert made([[0.0]], 1.0, 1.0).gap == 0
    assert made([[0.1]], 1.0, 1.0).gap == 1


def test_explains_the_chosen_window(model):
    signal_mv = small_predictions.ecg_mv(500)
    result = model.predict(signal_mv, 500)
    scores = result.window_scores["high"][:, 1]
    highest = result.window_of(["fast"])
    found = model.explain(signal_mv, 500, "fast", window=highest)
    assert found.window == highest == scores.argmax()
    assert found.start_s == (0.0, 0.4, 0.6)[found.window]
    # The scored signal and the explained one are the same, and so is the label.
    assert special.expit(found.attribution.logit) == pytest.approx(
        scores.max(), abs=1e-6
    )
    assert found.attribution.values.shape == (small_runs.NUM_SAMPLES, 12)
    assert set(found.gates) == {"high", "low"}


def test_an_unknown_window_raises(model):
    for window in (-1, 3):
        message = f"window: expected 0 to 2, got {window}"
        with pytest.raises(ValueError, match=message):
            model.explain(small_predictions.ecg_mv(500), 500, "fast", window=window)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_every_label_is_explained_in_the_window_that_is_drawn(workdir, threshold):
    model = mrm_jax.load(workdir, threshold=threshold)
    elsewhere = set()
    for seed in range(2):
        signal_mv = small_predictions.ecg_mv(800, seed)
        result = model.predict(signal_mv, 500)
        expected = explanation.shown_window(result)
        drawn = model.draw(signal_mv, 500)
        laid_over = model.draw(signal_mv, 500, explain="loud")
        words = f"drawn: window {expected + 1} of 4"
        for figure in (drawn, laid_over):
            said = [text.get_text() for text in figure.axes[0].texts]
            assert any(line.startswith(words) for line in said)
        explained = {model.explain(signal_mv, 500, x).window for x in model.labels}
        assert explained == {expected}
        best = {result.window_of([label]) for label in model.labels}
        elsewhere |= best - {expected}
    assert elsewhere  # labels have their highest scores in other windows as well


@pytest.mark.parametrize(("allowed", "steps"), [(np.inf, 64), (0.0, 256)])
def test_a_large_gap_increases_the_steps(model, monkeypatch, allowed, steps):
    monkeypatch.setattr(explanation, "LARGE_GAP", allowed)
    found = model.explain(small_predictions.ecg_mv(), 500, "loud")
    run = model.run
    mean_uv, std_uv = run.data["mean_uv"], run.data["std_uv"]
    signal_uv = resampled_uv(small_predictions.ecg_mv())
    signal = (signal_uv - np.float32(mean_uv)) / np.float32(std_uv)
    expected = attribution.integrated_gradients(
        run.model,
        run.variables,
        signal,
        attribution.zero_millivolts(signal, mean_uv, std_uv),
        attribution.Target(2, "high"),
        steps,
    )
    np.testing.assert_array_equal(found.attribution.values, expected.values)


def test_explanations_use_the_networks_lead_order(model):
    signal_mv = small_predictions.ecg_mv()
    straight = model.explain(signal_mv, 500, "slow")
    turned = model.explain(signal_mv[:, ::-1], 500, "slow", leads=model.leads[::-1])
    np.testing.assert_array_equal(
        straight.attribution.values, turned.attribution.values
    )


def test_an_unknown_label_raises(model):
    message = "This run has no label 'AF'. Expected one of slow, fast, loud"
    with pytest.raises(ValueError, match=message):
        model.explain(small_predictions.ecg_mv(), 500, "AF")
    with pytest.raises(ValueError, match=message):
        model.draw(small_predictions.ecg_mv(), 500, explain="AF")


def test_draws_a_page_from_an_array(model):
    signal_mv = small_predictions.ecg_mv()
    plain = model.draw(signal_mv, 500)
    laid_over = model.draw(signal_mv, 500, explain="loud")
    assert not plain.axes[0].images
    said = [text.get_text() for text in laid_over.axes[0].texts]
    assert "signal: evidence for and against loud" in said
