"""Resamples of a split's records, or why there are none."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrm_jax import intervals

# Of records with or without a label; with fewer its numbers are chance. As resamples
# always hold both classes, they differ too little then: a test of a difference at 5 %
# finds one where there is none in 73 % of the cases with 1 such record, 10 % with 10.
RARE = 10


def draw(
    labels: np.ndarray, label_names: Sequence[str], resamples: int, seed: int
) -> tuple[np.ndarray | None, str | None]:
    """Returns how often each resample holds each record, or None and why there is none.

    Args:
        labels: [record, label], 0 or 1.
        label_names: [label].
        resamples: how many.
        seed: of them.

    Returns:
        [resample, record], and None; or None, and a sentence.
    """
    if len(labels) == 1:
        return None, "a single record cannot be resampled"
    try:
        return intervals.draw(labels, resamples, np.random.default_rng(seed)), None
    except intervals.TooRareError as error:
        positive = int(labels[:, error.label].sum())
        return None, (
            "hardly any resample of the records has both classes of every label; most "
            f"often {label_names[error.label]} lacks one, which {positive} of "
            f"{len(labels)} records have"
        )


def is_rare(labels: np.ndarray) -> np.ndarray:
    """Returns whether a label has fewer than RARE records of a class, [label].

    Args:
        labels: [record, label], 0 or 1.
    """
    positives = (labels == 1).sum(axis=0)
    return np.minimum(positives, len(labels) - positives) < RARE


def warn_of_rare(labels: Sequence[Mapping[str, Any]], head: str) -> str:
    """Returns a sentence on the labels whose intervals cannot be relied on, or "".

    Args:
        labels: as in report.json.
        head: whose intervals are shown.
    """
    num_rare = sum(
        label["positive_records"] < RARE
        and label["heads"][head].get("auc_interval") is not None
        for label in labels
    )
    if not num_rare:
        return ""
    return (
        f"labels with fewer than {RARE} records: {num_rare}; their intervals are too "
        "narrow"
    )
