"""The official score of the China Physiological Signal Challenge 2018.

References:
    Liu et al., 2018, doi 10.1166/jmihi.2018.2442.
"""

import numpy as np
from jaxtyping import Float, Int, Shaped

from mrm_jax.metrics import ranking

NUM_CLASSES = 9
# Normal, AF, I-AVB, LBBB, RBBB, PAC, PVC, STD, STE are columns 0 to 8.
GROUPS = {
    "cpsc_f_af": (1,),
    "cpsc_f_block": (2, 3, 4),
    "cpsc_f_pc": (5, 6),
    "cpsc_f_st": (7, 8),
}


def evaluate(
    scores: Float[np.ndarray, "record 9"],
    labels: Shaped[np.ndarray, "record 9"],
    first_label: Int[np.ndarray, " record"],
) -> dict[str, float]:
    """Returns the challenge's score, `cpsc_f1`, and its four sub-scores.

    A class that no record has and that is never predicted scores 0.

    Raises:
        ValueError: as `record_cells`.
    """
    cells = record_cells(scores, labels, first_label)
    found = aggregate(cells, np.ones((1, len(scores))))
    return {name: float(value[0]) for name, value in found.items()}


def aggregate(
    cells: Int[np.ndarray, " record"], weights: Float[np.ndarray, "sample record"]
) -> dict[str, Float[np.ndarray, " sample"]]:
    """Returns the scores of samples in which `weights` counts each record.

    Args:
        cells: cell of each record in the confusion matrix, from `record_cells`.
        weights: whole numbers.
    """
    one_hot = np.eye(NUM_CLASSES**2)[cells]
    matrix = (weights @ one_hot).reshape(-1, NUM_CLASSES, NUM_CLASSES)
    right = matrix.diagonal(axis1=1, axis2=2)
    total = matrix.sum(axis=1) + matrix.sum(axis=2)
    result = {"cpsc_f1": (2 * right / np.maximum(total, 1)).mean(axis=1)}
    for name, group in GROUPS.items():
        classes = list(group)
        hits, both = (x[:, classes].sum(axis=1) for x in (right, total))
        result[name] = 2 * hits / np.maximum(both, 1)
    return result


def confusion(
    scores: np.ndarray, labels: np.ndarray, first_label: np.ndarray
) -> Int[np.ndarray, "9 9"]:
    """Returns how many records of class [row] are predicted as class [column].

    Raises:
        ValueError: as `record_cells`.
    """
    cells = record_cells(scores, labels, first_label)
    counts = np.bincount(cells, minlength=NUM_CLASSES**2)
    return counts.reshape(NUM_CLASSES, NUM_CLASSES)


def record_cells(
    scores: np.ndarray, labels: np.ndarray, first_label: np.ndarray
) -> Int[np.ndarray, " record"]:
    """Returns the cell of the confusion matrix of each record, 9 * row + column.

    The predicted class has the highest score (the lowest class of equal scores). The
    true class is the predicted one if that is among the record's labels, and otherwise
    the first label.

    Args:
        scores: [record, class], the nine classes in the challenge's order.
        labels: [record, class], 0 or 1.
        first_label: [record], 0 to 8: REFERENCE.csv's first column of labels, less 1.

    Raises:
        ValueError: if the arrays do not fit each other, a score is not finite, or a
            first label is unknown or not among the record's labels.
    """
    _check(scores, labels, first_label)
    records = np.arange(len(scores))
    predicted = scores.argmax(axis=1)
    right = labels[records, predicted] == 1
    actual = np.where(right, predicted, first_label)
    return NUM_CLASSES * actual + predicted


def _check(scores: np.ndarray, labels: np.ndarray, first_label: np.ndarray) -> None:
    expected = (len(first_label), NUM_CLASSES)
    if scores.shape != expected or labels.shape != expected:
        raise ValueError(
            f"expected scores and labels of shape {expected}, "
            f"found {scores.shape} and {labels.shape}"
        )
    ranking.check_finite(scores)
    known = (first_label >= 0) & (first_label < NUM_CLASSES)
    # Unknown labels are looked up as class 0 here, and rejected by `known`.
    held = labels[np.arange(len(labels)), np.where(known, first_label, 0)] == 1
    wrong = np.flatnonzero(~(known & held))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} records have a first label that is unknown or not among "
            f"their labels, the first in row {wrong[0]} (counted from 0): "
            f"{first_label[wrong[0]]}. Prepare the data with REFERENCE.csv."
        )
