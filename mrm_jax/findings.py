"""What the threshold of each label finds, and what it misses."""

import dataclasses

import numpy as np
from jaxtyping import Float

from mrm_jax import metrics
from mrm_jax.ranking import Labels, Scores


@dataclasses.dataclass(frozen=True)
class Terms:
    """What the measures add up over records, [record, label], 0. or 1."""

    present: np.ndarray
    found: np.ndarray  # the score reaches the threshold
    right: np.ndarray  # both


def terms(
    scores: Scores, labels: Labels, thresholds: Float[np.ndarray, " threshold"]
) -> Terms:
    """Returns the terms of each record; each label has its own threshold.

    Raises:
        ValueError: as `metrics.check`, or if there is not one threshold per label.
    """
    metrics.check(scores, labels)
    if thresholds.shape != labels.shape[1:]:
        raise ValueError(
            f"expected thresholds of {labels.shape[1]} labels, found "
            f"{len(thresholds)}; choose them for these labels"
        )
    present, found = labels == 1, scores >= thresholds
    return Terms(*(x.astype(np.float64) for x in (present, found, present & found)))


def weighted(
    terms: Terms, weights: Float[np.ndarray, "sample record"]
) -> dict[str, Float[np.ndarray, "sample label"]]:
    """Returns the measures of records that count as often as `weights` says.

    Returns:
        f1_at_threshold: F1 score; NaN without a positive record.
        sensitivity: share of the positive records that are found; NaN without one.
        specificity: share of the negative records that are not; NaN without one.
        ppv: positive predictive value, the share of the findings that are right, 0
            without a finding; NaN without a positive record.
    """
    present, found, right = (
        weights @ x for x in (terms.present, terms.found, terms.right)
    )
    absent = weights.sum(axis=1, keepdims=True) - present
    of_present = {
        "f1_at_threshold": metrics.ratio(2 * right, found + present),
        "sensitivity": metrics.ratio(right, present),
        "ppv": metrics.ratio(right, found),
    }
    specificity = metrics.ratio(absent - (found - right), absent)
    return {
        **{name: np.where(present > 0, v, np.nan) for name, v in of_present.items()},
        "specificity": np.where(absent > 0, specificity, np.nan),
    }
