import numpy as np
import pytest

from mrm_jax.metrics import bootstrap, calibration

SCORES = np.array([[0.02, 0.04, 0.5], [0.9, 0.06, 0.5], [1.0, 0.0, 0.5]])
LABELS = np.array([[0, 1, 1], [1, 0, 1], [1, 0, 0]], np.uint8)


def measure(scores, labels, counts=None):
    """Returns the metrics of the split, or of records repeated `counts` times."""
    counts = np.ones(len(scores)) if counts is None else np.asarray(counts, float)
    found = calibration.aggregate(
        calibration.per_record(scores, labels), counts[np.newaxis]
    )
    return {name: float(value[0]) for name, value in found.items()}


def test_metrics_match_values_by_hand():
    found = measure(SCORES, LABELS)
    # Bins of 1/15. First, below 0.0667: .02 .04 .06 .0 with one of four present;
    # .5 three times, two present; .9 (bin 13) and 1.0 (bin 14), both present.
    gaps = [4 * abs(0.03 - 1 / 4), 3 * abs(0.5 - 2 / 3), abs(0.9 - 1), abs(1 - 1)]
    assert found["ece"] == pytest.approx(sum(gaps) / 9)
    squares = [0.02**2, 0.96**2, 0.25, 0.01, 0.06**2, 0.25, 0, 0, 0.25]
    assert found["brier"] == pytest.approx(sum(squares) / 9)
    likelihoods = [0.98, 0.04, 0.5, 0.9, 0.94, 0.5, 1, 1, 0.5]
    assert found["nll"] == pytest.approx(-np.log(likelihoods).sum() / 9, abs=1e-7)


def test_cross_entropy_matches_values_by_hand():
    scores, labels = np.array([[0.8, 0.1]]), np.array([[1, 0]], np.uint8)
    found = calibration.cross_entropy(scores, labels)
    np.testing.assert_allclose(found, [[-np.log(0.8), -np.log(0.9)]])


def test_cross_entropy_of_certain_scores_is_finite():
    scores, labels = np.array([[0.0, 1.0]], np.float32), np.array([[1, 0]], np.uint8)
    found = calibration.cross_entropy(scores, labels)
    assert np.isfinite(found).all() and (found > 10).all()


def test_reliability_matches_values_by_hand():
    bins = calibration.reliability(calibration.per_record(SCORES, LABELS))
    assert len(bins) == calibration.NUM_BINS
    assert [b["from"] for b in bins[1:]] == [b["to"] for b in bins[:-1]]
    assert (bins[0]["from"], bins[-1]["to"]) == (0, 1)
    filled = {i: b for i, b in enumerate(bins) if b["cells"]}
    assert {i: b["cells"] for i, b in filled.items()} == {0: 4, 7: 3, 13: 1, 14: 1}
    assert filled[0]["score"] == pytest.approx(0.03)
    assert filled[0]["share"] == 0.25
    assert filled[7]["score"] == 0.5
    assert filled[7]["share"] == pytest.approx(2 / 3)
    assert bins[3]["score"] is None and bins[3]["share"] is None


def test_bins_include_their_lower_edge_and_the_last_both():
    scores = calibration.EDGES[np.newaxis]
    bins = calibration.reliability(calibration.per_record(scores, np.ones_like(scores)))
    assert [b["cells"] for b in bins] == [1] * 14 + [2]


def test_a_weight_of_two_equals_a_repeated_record():
    rng = np.random.default_rng(0)
    scores = rng.random((30, 4)).astype(np.float32)
    labels = rng.integers(0, 2, scores.shape)
    counts = rng.integers(0, 4, 30)
    repeated = [np.repeat(array, counts, axis=0) for array in (scores, labels)]
    assert measure(scores, labels, counts) == pytest.approx(measure(*repeated))


def test_labels_drawn_with_their_scores_probability_are_calibrated():
    rng = np.random.default_rng(0)
    scores = rng.random((20_000, 5))
    found = measure(scores, (rng.random(scores.shape) < scores).astype(np.uint8))
    assert found["ece"] < 0.01
    assert found["brier"] == pytest.approx(1 / 6, abs=0.002)  # mean of p (1 - p)
    assert found["nll"] == pytest.approx(0.5, abs=0.005)  # mean entropy of p


def test_a_certain_and_wrong_score_has_finite_loss():
    found = measure(np.array([[1.0, 0.0]], np.float32), np.array([[0, 1]], np.uint8))
    assert (found["ece"], found["brier"]) == (1, 1)
    assert found["nll"] == pytest.approx(24 * np.log(2), rel=1e-6)


def test_the_basic_interval_reflects_the_resamples():
    found = calibration.basic_interval_ece(np.array([0.03, 0.015, 0.08]), 0.02)
    np.testing.assert_allclose(found, [0.01, 0.025, 0])


def test_the_interval_of_the_ece_covers_the_true_ece():
    """336 records of 5 labels, all scores too high by a factor: true ECE 0.0175."""
    rng = np.random.default_rng(0)
    factor, true, trials = 0.965, 0.0175, 100
    covered = 0
    for _ in range(trials):
        scores = rng.random((336, 5))
        labels = (rng.random(scores.shape) < factor * scores).astype(np.uint8)
        statistics = calibration.per_record(scores, labels)
        counts = rng.multinomial(336, np.full(336, 1 / 336), size=200)
        values = calibration.aggregate(statistics, counts.astype(float))["ece"]
        value = calibration.aggregate(statistics, np.ones((1, 336)))["ece"][0]
        low, high = bootstrap.percentile(calibration.basic_interval_ece(values, value))
        covered += low <= true <= high
    assert covered / trials > 0.8  # with the estimate as the resamples' mean: below 0.5


def test_invalid_scores_raise():
    with pytest.raises(ValueError, match="apply the sigmoid"):
        calibration.per_record(SCORES - 2, LABELS)
