import numpy as np
import pytest
import scipy.special

from mrm_jax.metrics import calibration


def overconfident_split(factor, num_records=4000):
    """Returns scores whose logits are factor times too large, and labels."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 1.5, (num_records, 3))
    labels = (rng.random(logits.shape) < scipy.special.expit(logits)).astype(np.uint8)
    return scipy.special.expit(factor * logits), labels


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_recovers_the_factor_by_which_logits_are_too_large(factor):
    scores, labels = overconfident_split(factor)
    assert calibration.fit(scores, labels) == pytest.approx(factor, rel=0.05)


def test_no_temperature_on_a_grid_is_better():
    scores, labels = overconfident_split(2.5, num_records=200)
    found = calibration.fit(scores, labels)

    def loss(temperature):
        scaled = calibration.scale(scores, temperature)
        return calibration.cross_entropy(scaled, labels).mean()

    assert all(loss(found) <= loss(t) + 1e-9 for t in np.geomspace(0.1, 10, 301))


def test_scaling_matches_values_by_hand():
    scores = np.array([[0.5, 0.8, 1 / (1 + np.e**-3)]])
    expected = [[0.5, 2 / 3, 1 / (1 + np.e**-1.5)]]  # odds 4 become 2
    found = calibration.scale(scores, 2.0)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(calibration.scale(scores, 1.0), scores)


def test_scaling_keeps_the_order_and_predictions_at_0_5():
    scores, _ = overconfident_split(1.0, num_records=50)
    scaled = calibration.scale(scores, 3.0)
    np.testing.assert_array_equal(scaled >= 0.5, scores >= 0.5)
    np.testing.assert_array_equal(scaled.argsort(axis=0), scores.argsort(axis=0))


def test_cross_entropy_of_a_cell_matches_values_by_hand():
    scores, labels = np.array([[0.25, 0.25, 0.0, 1.0]]), np.array([[1, 0, 0, 1]])
    found = calibration.cross_entropy(scores, labels)
    expected = [[np.log(4), np.log(4 / 3), 0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_0_and_1_stay_finite(dtype):
    scores = np.array([[0, 1, 1, 0]], dtype)
    labels = np.array([[1, 0, 1, 0]])
    assert np.isfinite(calibration.cross_entropy(scores, labels)).all()
    assert np.isfinite(calibration.scale(scores, 0.05)).all()
    lowest, highest = calibration.TEMPERATURES
    assert lowest < calibration.fit(scores, labels) <= highest


def test_without_errors_the_lowest_temperature_is_chosen():
    scores, labels = np.array([[0.9, 0.1]]), np.array([[1, 0]])
    found = calibration.fit(scores, labels)
    assert found == pytest.approx(calibration.TEMPERATURES[0], rel=1e-3)
