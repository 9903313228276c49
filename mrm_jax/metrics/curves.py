"""ROC and precision-recall curves, of one label or averaged over labels."""

import dataclasses
from collections.abc import Sequence

import numpy as np

GRID = np.linspace(0, 1, 201)  # of false-positive rates and recalls, for the mean


@dataclasses.dataclass(frozen=True)
class Curves:
    """The ROC and precision-recall curves of one label, from the highest threshold."""

    false_rate: np.ndarray  # [threshold], 1 - specificity; rises from 0 to 1
    recall: np.ndarray  # [threshold], sensitivity; rises from 0 to 1
    precision: np.ndarray  # [threshold]; applies from the previous recall to this one

    @property
    def precision_recall(self) -> tuple[np.ndarray, np.ndarray]:
        """Recall and precision, up to the first threshold with a recall of 1."""
        end = np.searchsorted(self.recall, 1.0) + 1
        return self.recall[:end], self.precision[:end]


def compute(scores: np.ndarray, labels: np.ndarray) -> Curves:
    """Returns the curves of scores [record] and labels [record] with both classes."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    # Records with the same score pass the threshold together.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(labels[order], dtype=np.int64)[last]
    false, precision = last + 1 - found, found / (last + 1)
    return Curves(
        false_rate=np.insert(false / false[-1], 0, 0.0),
        recall=np.insert(found / found[-1], 0, 0.0),
        precision=np.insert(precision, 0, precision[0]),
    )


def macro(of_labels: Sequence[Curves]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels' mean recall and mean precision on GRID.

    The recall is taken at the false-positive rates of GRID, the precision at its
    recalls. Every label counts the same.
    """
    recall = [np.interp(GRID, each.false_rate, each.recall) for each in of_labels]
    precision = [
        each.precision[np.searchsorted(each.recall, GRID)] for each in of_labels
    ]
    return np.mean(recall, axis=0), np.mean(precision, axis=0)
