import numpy as np
import pytest
import sklearn.metrics

from mrm_jax.metrics import thresholds as thresholds_lib

EVERY = ("f1_at_threshold", "sensitivity", "specificity", "ppv")


def measure(scores, labels, thresholds, counts=None):
    """Returns the metrics of each label, of records repeated `counts` times."""
    counts = np.ones(len(scores)) if counts is None else np.asarray(counts, float)
    statistics = thresholds_lib.per_record(
        scores, labels, np.asarray(thresholds, float)
    )
    found = thresholds_lib.aggregate(statistics, counts[np.newaxis])
    return {name: value[0] for name, value in found.items()}


def random_split():
    rng = np.random.default_rng(0)
    scores = rng.random((60, 3)).astype(np.float32)
    labels = (rng.random(scores.shape) < 0.4 * scores + 0.2).astype(np.uint8)
    return scores, labels


def test_metrics_of_a_label_match_values_by_hand():
    scores = np.array([[0.9], [0.3], [0.6], [0.2], [0.1]])
    labels = np.array([[1], [1], [0], [0], [0]], np.uint8)
    found = measure(scores, labels, [0.3])  # a score that reaches it is a finding
    assert found["sensitivity"] == [1]
    assert found["specificity"] == pytest.approx([2 / 3])
    assert found["ppv"] == pytest.approx([2 / 3])
    assert found["f1_at_threshold"] == pytest.approx([4 / 5])
    stricter = measure(scores, labels, [0.31])
    assert [float(stricter[name][0]) for name in EVERY] == pytest.approx(
        [1 / 2, 1 / 2, 2 / 3, 1 / 2]
    )


def test_each_label_has_its_own_threshold():
    scores, labels = random_split()
    thresholds = [0.2, 0.5, 0.8]
    found = measure(scores, labels, thresholds)
    for i, threshold in enumerate(thresholds):
        truth, predicted = labels[:, i], scores[:, i] >= threshold
        recall, f1 = sklearn.metrics.recall_score, sklearn.metrics.f1_score
        expected = (
            f1(truth, predicted),
            recall(truth, predicted),
            recall(1 - truth, ~predicted),
            sklearn.metrics.precision_score(truth, predicted),
        )
        assert [found[name][i] for name in EVERY] == pytest.approx(expected)


def test_a_weight_of_two_equals_a_repeated_record():
    scores, labels = random_split()
    counts = np.random.default_rng(1).integers(0, 4, len(scores))
    repeated = [np.repeat(array, counts, axis=0) for array in (scores, labels)]
    expected = measure(*repeated, [0.5] * 3)
    found = measure(scores, labels, [0.5] * 3, counts)
    for name in EVERY:
        np.testing.assert_allclose(found[name], expected[name])


def test_no_prediction_gives_0_and_a_missing_class_gives_nan():
    scores = np.full((4, 3), 0.4)
    labels = np.array([[1, 0, 1]] * 2 + [[0, 0, 1]] * 2, np.uint8)
    found = measure(scores, labels, [0.5, 0.3, 0.3])
    nan = np.nan
    np.testing.assert_array_equal(found["ppv"], [0, nan, 1])
    np.testing.assert_array_equal(found["sensitivity"], [0, nan, 1])
    np.testing.assert_array_equal(found["specificity"], [1, 0, nan])
    np.testing.assert_array_equal(found["f1_at_threshold"], [0, nan, 1])


def test_thresholds_of_other_labels_raise():
    with pytest.raises(ValueError, match="expected thresholds of 3 labels, found 2"):
        thresholds_lib.per_record(*random_split(), np.array([0.5, 0.5]))
