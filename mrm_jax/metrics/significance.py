"""How easily a difference could be none."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mrm_jax.metrics import bootstrap

# Of records with or without a label; with fewer its numbers are chance. As resamples
# always hold both classes, they differ too little then: a test of a difference at 5 %
# finds one where there is none in 73 % of the cases with 1 such record, 10 % with 10.
RARE = 10

ALPHA = 0.05  # what most readers take p-values to


def two_sided(differences: np.ndarray) -> float:
    """Returns the two-sided bootstrap p-value of no difference.

    Twice the smaller one of the shares of resamples with a difference of at most 0 and
    of at least 0, and 1 at most: the largest alpha whose 1 - alpha percentile interval
    holds 0. Both counts and their number have one added, for the records themselves,
    so that it is never below `smallest`.

    Args:
        differences: [resample].

    References:
        Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapter 15.
        Davison and Hinkley, 1997, Bootstrap Methods and their Application, chapter 4.
    """
    smaller = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1, 2 * (smaller + 1) / (len(differences) + 1)))


def holm(given: Sequence[float | None]) -> list[float | None]:
    """Returns p-values adjusted for how many they are; None stays and does not count.

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
    """Returns the p-value that no difference falls below, however large it is."""
    return min(1, 2 / (resamples + 1))


def limits(resamples: int, num_adjusted: int) -> dict[str, Any]:
    """Returns what p-values can be reached, by the names that comparison.json has.

    Args:
        resamples: drawn.
        num_adjusted: how many p-values `holm` adjusts for.

    Returns:
        num_adjusted, smallest_p, smallest_p_holm; and as `holm_note` which number of
            resamples would do where an adjusted p cannot fall below ALPHA, else None.
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
    """Returns a round number of resamples for an adjusted p of ALPHA / 5."""
    least = 2 * num_adjusted / (ALPHA / 5)
    unit = 10 ** math.floor(math.log10(least))
    return math.ceil(least / unit) * unit


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
