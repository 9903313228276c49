import numpy as np
import sklearn.metrics

from mrm_jax.metrics import curves, ranking
from tests.helpers import page_data


def split(num_records=300):
    """Returns scores, rounded so that many are equal, and labels, of one label."""
    of_all = page_data.split_of(num_records, 3)
    return of_all.mean[:, 2].round(1), of_all.labels[:, 2]


def test_curves_match_values_by_hand():
    scores, labels = np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 1, 0, 0])
    found = curves.compute(scores, labels)
    np.testing.assert_allclose(found.false_rate, [0, 0, 0.5, 1])
    np.testing.assert_allclose(found.recall, [0, 0.5, 1, 1])
    np.testing.assert_allclose(found.precision, [1, 1, 2 / 3, 0.5])
    recall, precision = found.precision_recall
    np.testing.assert_allclose(recall, [0, 0.5, 1])
    np.testing.assert_allclose(precision, [1, 1, 2 / 3])


def test_curves_equal_scikit_learn():
    scores, labels = split()
    found = curves.compute(scores, labels)
    rates = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_rate, rates[0])
    np.testing.assert_allclose(found.recall, rates[1])
    precision, recall, _ = sklearn.metrics.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(found.precision[1:], precision[-2::-1])
    np.testing.assert_allclose(found.recall, recall[::-1])


def test_areas_under_curves_equal_the_metrics():
    scores, labels = split()
    found = curves.compute(scores, labels)
    ranked, column = ranking.rank(scores[:, None]), labels[:, None]
    area = np.trapezoid(found.recall, found.false_rate)
    np.testing.assert_allclose(area, ranking.roc_auc(ranked, column)[0])
    area = np.sum(np.diff(found.recall) * found.precision[1:])
    np.testing.assert_allclose(area, ranking.average_precision(ranked, column)[0])


def test_macro_curve_is_the_mean_over_labels():
    perfect = curves.compute(np.array([0.9, 0.1]), np.array([1, 0]))
    useless = curves.compute(np.array([0.5, 0.5]), np.array([1, 0]))
    recall, precision = curves.macro([perfect, useless])
    np.testing.assert_allclose(recall, (1 + curves.GRID) / 2)
    np.testing.assert_allclose(precision, np.full(len(curves.GRID), 0.75))
