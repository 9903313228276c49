import numpy as np
import pytest
import sklearn.metrics

from mrm_jax.metrics import ranking


def column(*values, dtype=np.float64):
    return np.array(values, dtype)[:, np.newaxis]


def random_split(seed, num_records=200, num_labels=6, num_levels=10_000):
    """Returns scores with `num_levels` different values, and unbalanced labels."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, num_levels, (num_records, num_labels)) / num_levels
    labels = rng.random(scores.shape) < np.linspace(0.05, 0.9, num_labels)
    return scores.astype(np.float32), labels.astype(np.uint8)


def test_ties_share_their_ranks():
    ranked = ranking.rank(column(0.2, 0.9, 0.2, 0.5, 0.2))
    assert ranked.order[:, 0].tolist() == [1, 3, 0, 2, 4]
    assert ranked.tie_start[:, 0].tolist() == [0, 1, 2, 2, 2]
    assert ranked.tie_end[:, 0].tolist() == [1, 2, 5, 5, 5]


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ((0.9, 0.8, 0.1), (1, 1, 0), 1.0),
        ((0.9, 0.8, 0.1), (0, 0, 1), 0.0),
        ((0.5, 0.5, 0.5), (1, 0, 0), 0.5),
        # Pairs of (0.7, 0.3) with (0.7, 0.1): a tie, a win, a loss, a win.
        ((0.7, 0.3, 0.7, 0.1), (1, 1, 0, 0), 2.5 / 4),
    ],
)
def test_roc_auc_counts_pairs(scores, labels, expected):
    ranked = ranking.rank(column(*scores))
    assert ranking.roc_auc(ranked, column(*labels, dtype=np.uint8)) == [expected]


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ((0.9, 0.8, 0.1), (1, 1, 0), 1.0),
        ((0.9, 0.8, 0.1), (1, 0, 1), (1 / 1 + 2 / 3) / 2),
        ((0.5, 0.5, 0.5, 0.5), (1, 0, 0, 0), 1 / 4),
        ((0.7, 0.3, 0.7, 0.1), (1, 1, 0, 0), (1 / 2 + 2 / 3) / 2),
    ],
)
def test_average_precision_is_the_precision_at_the_positives(scores, labels, expected):
    ranked = ranking.rank(column(*scores))
    found = ranking.average_precision(ranked, column(*labels, dtype=np.uint8))
    assert found == pytest.approx([expected])


@pytest.mark.parametrize("num_levels", [2, 5, 10_000])
@pytest.mark.parametrize("seed", [0, 1])
def test_both_equal_scikit_learn_with_few_and_many_ties(seed, num_levels):
    scores, labels = random_split(seed, num_levels=num_levels)
    ranked = ranking.rank(scores)
    np.testing.assert_allclose(
        ranking.roc_auc(ranked, labels),
        sklearn.metrics.roc_auc_score(labels, scores, average=None),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        ranking.average_precision(ranked, labels),
        sklearn.metrics.average_precision_score(labels, scores, average=None),
        rtol=1e-12,
    )


def test_a_missing_class_makes_the_metric_nan():
    ranked = ranking.rank(np.array([[0.1, 0.2], [0.3, 0.4]]))
    labels = np.array([[0, 1], [0, 1]], np.uint8)
    assert np.isnan(ranking.roc_auc(ranked, labels)).all()
    found = ranking.average_precision(ranked, labels)
    assert np.isnan(found[0]) and found[1] == 1


def test_accepts_float_and_boolean_labels():
    scores, labels = random_split(2)
    ranked = ranking.rank(scores)
    expected = ranking.roc_auc(ranked, labels)
    for dtype in (bool, np.float32):
        found = ranking.roc_auc(ranked, labels.astype(dtype))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_nan_score_raises_and_is_located(value):
    scores = np.full((3, 2), 0.5)
    scores[2, 1] = value
    with pytest.raises(ValueError, match="found 1 that are not, .* record 2, label 1"):
        ranking.rank(scores)
