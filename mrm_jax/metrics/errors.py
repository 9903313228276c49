"""Where predictions and labels disagree: by record, and by pair of labels."""

import dataclasses
from typing import NamedTuple

import numpy as np

from mrm_jax.metrics import classification


@dataclasses.dataclass(frozen=True)
class Error:
    """A label that a model predicts wrongly for a record."""

    record: int  # index of the record in the split
    label: int  # index of the label in the label set
    score: float  # from 0 to 1, on the wrong side of one half
    missed: bool  # a false negative; otherwise a false positive


class Pair(NamedTuple):
    """A pair of labels, and the false positives of one where records have the other."""

    label: int  # label that the records have
    other: int  # label that they lack
    records: int  # number of records with the label and without the other
    predicted: int  # number of these with a false positive of the other


def most_confident(scores: np.ndarray, labels: np.ndarray, count: int) -> list[Error]:
    """Returns the largest error of each of the worst records, the largest first.

    Args:
        scores: [record, label], from 0 to 1.
        labels: [record, label], 0 or 1.
        count: maximum number of errors; fewer if fewer records have a score on the
            wrong side of 0.5.
    """
    distance = np.abs(scores - labels)
    worst = distance.argmax(axis=1)
    size = distance[np.arange(len(scores)), worst]
    records = np.argsort(-size, kind="stable")[:count]
    return [
        Error(record, label, float(scores[record, label]), bool(labels[record, label]))
        for record, label in zip(records.tolist(), worst[records].tolist(), strict=True)
        if size[record] > 0.5
    ]


def false_positive_pairs(
    labels: np.ndarray, predicted: np.ndarray, count: int
) -> list[Pair]:
    """Returns the pairs of labels with the most false positives, the most first.

    Args:
        labels: [record, label], 0 or 1.
        predicted: [record, label], 0 or 1.
        count: maximum number of pairs; fewer if fewer pairs have a false positive.
    """
    truth = labels.astype(int)
    has_and_lacks = truth.T @ (1 - truth)
    false = truth.T @ ((1 - truth) * predicted)
    order = np.argsort(-false, axis=None, kind="stable")[:count]
    return [
        Pair(i, j, int(has_and_lacks[i, j]), int(false[i, j]))
        for i, j in np.transpose(np.unravel_index(order, false.shape)).tolist()
        if false[i, j]
    ]


def co_occurrence(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns how often records that have one label are predicted to have another.

    Args:
        labels: [record, label], 0 or 1.
        predicted: [record, label], 0 or 1; pass the labels themselves to see how often
            they occur together.

    Returns:
        [label, label]: of the records that have the first, the share that is predicted
            to have the second; NaN for a label that no record has.
    """
    together = labels.T.astype(float) @ predicted
    count = labels.sum(axis=0)[:, np.newaxis]
    return np.where(count > 0, classification.ratio(together, count), np.nan)
