import numpy as np

from mrm_jax.metrics import errors


def test_most_confident_errors_match_values_by_hand():
    scores = np.array([[0.9, 0.2], [0.1, 0.95], [0.4, 0.6], [0.3, 0.2]])
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 0]])
    assert errors.most_confident(scores, labels, 10) == [
        errors.Error(record=1, label=1, score=0.95, missed=False),
        errors.Error(record=0, label=1, score=0.2, missed=True),
        errors.Error(record=2, label=0, score=0.4, missed=True),
    ]
    assert len(errors.most_confident(scores, labels, 2)) == 2


def test_a_perfect_model_has_no_errors():
    labels = np.array([[1, 0], [0, 1]])
    assert errors.most_confident(labels * 0.4 + 0.3, labels, 10) == []


def test_co_occurrence_matches_values_by_hand():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    predicted = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0]])
    expected = [[0.5, 1, 0.5], [0, 1, 0.5], [np.nan] * 3]
    found = errors.co_occurrence(labels, predicted)
    np.testing.assert_array_equal(found, expected)
    truth = errors.co_occurrence(labels, labels)
    np.testing.assert_array_equal(truth, [[1, 0.5, 0], [0.5, 1, 0], [np.nan] * 3])
