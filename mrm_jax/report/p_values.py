"""How easily a difference could be none."""

from collections.abc import Sequence

import numpy as np


def two_sided(differences: np.ndarray) -> float:
    """Returns the two-sided bootstrap p-value of no difference.

    Twice the smaller one of the shares of resamples with a difference of at most 0 and
    of at least 0, and 1 at most: the largest alpha whose 1 - alpha percentile interval
    holds 0. Both counts and their number have one added, for the records themselves,
    so that it is never below 2 / (resamples + 1).

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
