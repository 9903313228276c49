import ast
import math
import time

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from mrm_jax.metrics import classification


def random_split(seed=0, num_records=120, num_labels=7, decimals=2):
    """Returns scores on the thresholds' own grid, so that ties and edges are met."""
    rng = np.random.default_rng(seed)
    scores = rng.random((num_records, num_labels)).round(decimals)
    labels = (rng.random(scores.shape) < 0.3).astype(np.uint8)
    labels[np.arange(num_records), rng.integers(0, num_labels, num_records)] = 1
    return scores, labels


def naive_f(scores, labels, threshold):
    """The definition, record by record."""
    precisions, recalls = [], []
    for record_scores, record_labels in zip(scores, labels, strict=True):
        predicted = {i for i, s in enumerate(record_scores) if s >= threshold}
        true = {i for i, y in enumerate(record_labels) if y}
        if predicted:
            precisions.append(len(predicted & true) / len(predicted))
        recalls.append(len(predicted & true) / len(true))
    if not precisions:
        return 0.0
    precision, recall = np.mean(precisions), np.mean(recalls)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_metrics_match_values_by_hand():
    scores = np.array([[0.9, 0.6, 0.2], [0.5, 0.1, 0.4], [0.2, 0.3, 0.4]])
    labels = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1]], np.uint8)
    found = classification.evaluate(scores, labels)
    # Predicted at 0.5: labels 0 and 1 of the first record, 0 of the second.
    assert found["tpr"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert found["f1"] == pytest.approx((2 / 4 + 1 + 0) / 3)
    assert found["accuracy"] == pytest.approx(6 / 9)
    assert found["share_of_zeros"] == pytest.approx(5 / 9)
    # Label 1 has no positive record and is left out of the macro means.
    assert found["macro_labels"] == 2
    # Label 2: pairs (0.2, 0.4) and (0.4, 0.4): a loss and a tie.
    assert found["macro_auc"] == pytest.approx((1 + 0.5 / 2) / 2)
    assert found["macro_ap"] == pytest.approx((1 + (2 / 3 + 1 / 2) / 2) / 2)
    assert found["macro_f1"] == pytest.approx((1 + 0) / 2)


def test_metrics_equal_scikit_learn():
    scores, labels = random_split()
    predicted = scores >= 0.5
    found = classification.evaluate(scores, labels)
    sk = sklearn.metrics
    expected = {
        "macro_auc": sk.roc_auc_score(labels, scores),
        "macro_ap": sk.average_precision_score(labels, scores),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "macro_labels": labels.shape[1],
        "tpr": sk.recall_score(labels, predicted, average="samples", zero_division=0),
        "f1": sk.f1_score(labels, predicted, average="samples", zero_division=0),
        "accuracy": sk.accuracy_score(labels.ravel(), predicted.ravel()),
        "share_of_zeros": 1 - labels.mean(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_metrics_of_each_label_equal_scikit_learn():
    scores, labels = random_split(1)
    found = classification.evaluate_labels(scores, labels)
    auc = sklearn.metrics.roc_auc_score(labels, scores, average=None)
    precision = sklearn.metrics.average_precision_score(labels, scores, average=None)
    f1 = sklearn.metrics.f1_score(labels, scores >= 0.5, average=None)
    np.testing.assert_allclose(found.auc, auc)
    np.testing.assert_allclose(found.average_precision, precision)
    np.testing.assert_allclose(found.f1, f1)


@pytest.mark.parametrize("seed", range(3))
def test_f_at_every_threshold_equals_a_plain_loop(seed):
    scores, labels = random_split(seed)
    expected = [naive_f(scores, labels, i / 100) for i in range(101)]
    np.testing.assert_allclose(
        classification.f_curve(scores, labels), expected, rtol=1e-12
    )
    found = classification.evaluate(scores, labels, val_threshold=0.37)
    assert found["fmax"] == pytest.approx(max(expected))
    assert found["fmax_threshold"] == expected.index(max(expected)) / 100
    assert found["f_at_val_threshold"] == pytest.approx(expected[37])
    assert found["val_threshold"] == 0.37


def test_f_counts_precision_over_the_records_with_a_prediction_only():
    scores = np.array([[0.9, 0.0], [0.0, 0.0]])
    labels = np.array([[1, 0], [0, 1]], np.uint8)
    # Above 0: precision 1 over one record, recall (1 + 0) / 2 over both.
    assert classification.f_curve(scores, labels)[50] == pytest.approx(2 * 0.5 / 1.5)
    # At 0 everything is predicted: precision 1/2, recall 1.
    assert classification.f_curve(scores, labels)[0] == pytest.approx(2 * 0.5 / 1.5)
    # Above the highest score nothing is.
    assert classification.f_curve(scores, labels)[91] == 0


def test_the_lowest_of_equally_good_thresholds_is_chosen():
    scores = np.array([[0.8, 0.2]])
    labels = np.array([[1, 0]], np.uint8)
    found = classification.evaluate(scores, labels)
    assert (found["fmax"], found["fmax_threshold"]) == (1, 0.21)


def test_metrics_of_a_perfect_and_an_all_negative_model():
    _, labels = random_split()
    perfect = classification.evaluate(labels.astype(np.float32), labels)
    for name in ("macro_auc", "macro_ap", "macro_f1", "tpr", "f1", "accuracy", "fmax"):
        assert perfect[name] == 1, name
    silent = classification.evaluate(np.zeros(labels.shape), labels)
    assert silent["accuracy"] == pytest.approx(silent["share_of_zeros"])
    assert (silent["tpr"], silent["f1"], silent["macro_f1"]) == (0, 0, 0)
    assert silent["macro_auc"] == 0.5


def test_one_record_has_all_metrics_except_macro():
    labels = np.array([[1, 0, 1]], np.uint8)
    found = classification.evaluate(np.array([[0.9, 0.2, 0.1]]), labels)
    assert found["macro_labels"] == 0
    for name in ("macro_auc", "macro_ap", "macro_f1"):
        assert math.isnan(found[name])
    assert found["tpr"] == 0.5
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["fmax"] == pytest.approx(0.8)  # everything predicted: 2/3 and 1


def test_one_label_counts_records_without_it_as_0():
    scores = np.array([[0.9], [0.8], [0.1]])
    found = classification.evaluate(scores, np.array([[1], [0], [0]], np.uint8))
    assert found["macro_auc"] == 1
    assert found["tpr"] == pytest.approx(1 / 3)
    assert found["f1"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("value", [0, 1])
def test_labels_of_one_class_have_no_auc(value):
    labels = np.full((4, 3), value, np.uint8)
    found = classification.evaluate(np.full((4, 3), 0.7), labels)
    assert math.isnan(found["macro_auc"]) and found["macro_labels"] == 0
    assert found["accuracy"] == value
    by_label = classification.evaluate_labels(np.full((4, 3), 0.7), labels)
    assert np.isnan(by_label.auc).all()
    assert np.isnan(by_label.f1).all() == (value == 0)


def test_record_order_does_not_matter():
    scores, labels = random_split(3)
    order = np.random.default_rng(0).permutation(len(scores))
    expected = classification.evaluate(scores, labels)
    assert classification.evaluate(scores[order], labels[order]) == pytest.approx(
        expected
    )


def test_accepts_float_labels():
    scores, labels = random_split(4)
    expected = classification.evaluate(scores, labels)
    assert classification.evaluate(scores, labels.astype(np.float32)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), r"found \(2, 3\) and \(3, 2\)"),
        (np.zeros(3), np.zeros(3), r"one shape \[record, label\]"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "without an empty axis"),
        (np.zeros((1, 2)), np.array([[0, 2]]), r"labels of 0 and 1, found \[0 2\]"),
        (np.array([[0.1, np.nan]]), np.zeros((1, 2)), "record 0, label 1"),
        (np.array([[-3.5, 0.2]]), np.zeros((1, 2)), "-3.5 to 0.2; apply the sigmoid"),
        (np.array([[0.1, 1.5]]), np.zeros((1, 2)), "apply the sigmoid to logits"),
    ],
)
def test_invalid_scores_and_labels_raise(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        classification.check(scores, labels)


def test_evaluation_is_fast_enough_for_every_epoch():
    rng = np.random.default_rng(0)
    scores = rng.random((2203, 71), np.float32)  # PTB-XL's test fold, all labels
    labels = (rng.random(scores.shape) < 0.04).astype(np.uint8)
    start = time.perf_counter()
    classification.evaluate(scores, labels)
    assert time.perf_counter() - start < 1  # 0.04 s; the rest is for a busy machine


def test_share_of_zeros_of_ptbxl_matches_the_protocol(real_data):
    table = pd.read_csv(real_data / "ptbxl_labels" / "ptbxl_database.csv")
    codes = table.scp_codes.map(ast.literal_eval)
    names = sorted(set().union(*codes))
    test_codes = codes[table.strat_fold == 10]
    labels = np.array([[name in record for name in names] for record in test_codes])
    found = classification.evaluate(np.zeros(labels.shape), labels)
    assert found["share_of_zeros"] == pytest.approx(0.961, abs=5e-4)
    assert found["accuracy"] == pytest.approx(found["share_of_zeros"])
