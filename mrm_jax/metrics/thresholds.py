"""Decision thresholds: chosen on validation scores, and the metrics at them.

`choose` returns the thresholds and the temperature of each head; `best_f1` is its rule
for the threshold of a label. `per_record` and `aggregate` compute sensitivity,
specificity, precision and F1 at the labels' thresholds, also of resampled records. The
file thresholds.json belongs to `reports.thresholds_file`.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from mrm_jax.metrics import calibration, classification, ranking
from mrm_jax.metrics.ranking import Labels, Scores
from mrm_jax.metrics.scores import SplitScores

OF_LABELS = "each label's own, chosen on validation"
OF_ALL = "one for all labels, chosen on validation"
NOT_CHOSEN = "not chosen"
SOURCES = (OF_LABELS, OF_ALL, NOT_CHOSEN)


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Thresholds of one head; a score that reaches its threshold predicts the label."""

    overall: float  # one threshold for all labels, with the best Fmax
    by_label: tuple[float, ...]  # [label], with the best F1 of each label
    temperature: float = 1.0  # divides the logits to calibrate the scores
    source: str = OF_LABELS  # where by_label comes from; one of SOURCES


def choose(val: SplitScores) -> dict[str, Thresholds]:
    """Returns the thresholds and the temperature of each head, from validation scores.

    A label that has only one class in the split takes the threshold of all labels.

    Raises:
        ValueError: as `classification.check`.
    """
    return {head: _choose(scores, val.labels) for head, scores in val.heads.items()}


def _choose(scores: Scores, labels: Labels) -> Thresholds:
    classification.check(scores, labels)
    curve = classification.f_curve(scores, labels)
    overall = float(classification.FMAX_THRESHOLDS[curve.argmax()])
    by_label = np.where(
        classification.has_both_classes(labels), best_f1(scores, labels), overall
    )
    temperature = calibration.fit(scores, labels)
    return Thresholds(overall, tuple(by_label.tolist()), temperature)


def best_f1(scores: Scores, labels: Labels) -> Float[np.ndarray, " label"]:
    """Returns the threshold with the best F1 for each label.

    All candidates are tried: the midpoints between neighbouring scores, and the
    midpoint between the lowest score and 0. Of equally good thresholds the lowest is
    returned, as for Fmax, since it misses the fewest records.
    """
    ranked = ranking.rank(scores)
    sorted_scores = np.take_along_axis(scores, ranked.order, axis=0).astype(np.float64)
    hits = np.take_along_axis(labels, ranked.order, axis=0)
    right = hits.cumsum(axis=0, dtype=np.int64)
    found = np.arange(1, len(scores) + 1)[:, np.newaxis]  # down to this rank
    f1 = 2 * right / (found + right[-1:])
    f1[ranked.tie_end != found] = -1  # would split a tie
    best = len(f1) - 1 - f1[::-1].argmax(axis=0)
    places = np.stack([best, best + 1])
    below_all = np.zeros((1, scores.shape[1]))
    upper, lower = np.take_along_axis(
        np.concatenate([sorted_scores, below_all]), places, axis=0
    )
    middle = (upper + lower) / 2
    return np.where(middle > lower, middle, upper)  # where floats have nothing between


@dataclasses.dataclass(frozen=True)
class RecordStatistics:
    """Statistics of each record, [record, label], 0. or 1., for `aggregate`."""

    present: np.ndarray  # the record has the label
    found: np.ndarray  # the label is predicted: the score reaches the threshold
    right: np.ndarray  # both


def per_record(
    scores: Scores, labels: Labels, thresholds: Float[np.ndarray, " threshold"]
) -> RecordStatistics:
    """Returns the statistics of each record at the labels' own thresholds.

    Raises:
        ValueError: as `classification.check`, or if the number of thresholds differs
            from the number of labels.
    """
    classification.check(scores, labels)
    if thresholds.shape != labels.shape[1:]:
        raise ValueError(
            f"expected thresholds of {labels.shape[1]} labels, found "
            f"{len(thresholds)}; choose the thresholds for these labels"
        )
    present, found = labels == 1, scores >= thresholds
    return RecordStatistics(
        *(x.astype(np.float64) for x in (present, found, present & found))
    )


def aggregate(
    statistics: RecordStatistics, weights: Float[np.ndarray, "sample record"]
) -> dict[str, Float[np.ndarray, "sample label"]]:
    """Returns the metrics of samples in which `weights` counts each record.

    Returns:
        f1_at_threshold: F1 score; NaN without a positive record.
        sensitivity: share of the positive records that are predicted positive; NaN
            without a positive record.
        specificity: share of the negative records that are predicted negative; NaN
            without a negative record.
        ppv: positive predictive value (precision), the share of the predictions that
            are right, 0 without a prediction; NaN without a positive record.
    """
    present, found, right = (
        weights @ x for x in (statistics.present, statistics.found, statistics.right)
    )
    absent = weights.sum(axis=1, keepdims=True) - present
    of_present = {
        "f1_at_threshold": classification.ratio(2 * right, found + present),
        "sensitivity": classification.ratio(right, present),
        "ppv": classification.ratio(right, found),
    }
    specificity = classification.ratio(absent - (found - right), absent)
    return {
        **{name: np.where(present > 0, v, np.nan) for name, v in of_present.items()},
        "specificity": np.where(absent > 0, specificity, np.nan),
    }
