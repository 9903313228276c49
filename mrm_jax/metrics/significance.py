"""Significance of differences: bootstrap p-values, Holm's adjustment, rare labels.

`two_sided` and `holm` compute p-values, and `limits` says how small they can become.
`draw` draws resamples or explains why it cannot, and `is_rare` finds the labels with
too few records for an interval.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mrm_jax.metrics import bootstrap

# A label with fewer positive or negative records is rare: its metrics are chance. As
# resamples always contain both classes, they then vary too little: a test at the 5 %
# level rejects a true null hypothesis in 73 % of the cases with 1 such record, and in
# 10 % with 10.
RARE = 10

ALPHA = 0.05  # the usual level of significance


def two_sided(differences: np.ndarray) -> float:
    """Returns the two-sided bootstrap p-value of no difference.

    It is twice the smaller share of resamples, with a difference of at most 0 or of at
    least 0, and at most 1: the largest alpha whose 1 - alpha percentile interval
    contains 0. One is added to the counts and to their total, for the original records,
    so the p-value is never below `smallest`.

    Args:
        differences: [resample], differences between two models.

    References:
        Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapter 15.
        Davison and Hinkley, 1997, Bootstrap Methods and their Application, chapter 4.
    """
    smaller = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1, 2 * (smaller + 1) / (len(differences) + 1)))


def holm(given: Sequence[float | None]) -> list[float | None]:
    """Returns p-values adjusted for multiple comparisons; None stays None.

    References:
        Holm, 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    order = sorted((p, place) for place, p in enumerate(given) if p is not None)
    adjusted: list[float | None] = [None] * len(given)
    reached = 0.0
    for done, (p, place) in enumerate(order):
        reached = max(reached, min(1.0, p * (len(order) - done)))
        adjusted[place] = reached
    return adjusted


def smallest(resamples: int) -> float:
    """Returns the smallest p-value that this number of resamples can give."""
    return min(1, 2 / (resamples + 1))


def limits(resamples: int, num_adjusted: int) -> dict[str, Any]:
    """Returns how small p-values can become, by the keys of comparison.json.

    Args:
        resamples: number of resamples.
        num_adjusted: number of p-values that `holm` adjusts.

    Returns:
        num_adjusted, smallest_p, smallest_p_holm, and holm_note: if an adjusted p-value
            cannot fall below ALPHA, a text with a sufficient number of resamples,
            otherwise None.
    """
    holm_limit = min(1, num_adjusted * smallest(resamples))
    note = None
    if holm_limit > ALPHA:
        note = (
            f"with {resamples:,} resamples, no Holm-adjusted p-value of {num_adjusted} "
            f"labels can fall below {holm_limit:.3f}, however large the difference; "
            f"draw {_enough(num_adjusted):,} or more (--resamples)"
        )
    return {
        "num_adjusted": num_adjusted,
        "smallest_p": smallest(resamples),
        "smallest_p_holm": holm_limit if num_adjusted else None,
        "holm_note": note,
    }


def _enough(num_adjusted: int) -> int:
    """Returns a round number of resamples that allows an adjusted p of ALPHA / 5."""
    least = 2 * num_adjusted / (ALPHA / 5)
    unit = 10 ** math.floor(math.log10(least))
    return math.ceil(least / unit) * unit


def draw(
    labels: np.ndarray, label_names: Sequence[str], resamples: int, seed: int
) -> tuple[np.ndarray | None, str | None]:
    """Returns how often each resample contains each record, or why it cannot be drawn.

    Args:
        labels: [record, label], 0 or 1.
        label_names: [label], names of the labels.
        resamples: number of resamples.
        seed: seed of the resamples.

    Returns:
        counts: [resample, record], or None if there are none.
        note: why there are none, or None.
    """
    if len(labels) == 1:
        return None, "a single record cannot be resampled"
    try:
        return bootstrap.draw(labels, resamples, np.random.default_rng(seed)), None
    except bootstrap.InsufficientPositivesError as error:
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
