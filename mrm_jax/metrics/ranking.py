"""Rankings of records by score, and the metrics that depend only on them."""

import dataclasses

import numpy as np
from jaxtyping import Float, Shaped

Scores = Float[np.ndarray, "record label"]
Labels = Shaped[np.ndarray, "record label"]


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The records of a split, sorted from the highest score down for each label.

    A ranking does not depend on which records have the labels, so many samples of the
    same records need only one sort.
    """

    order: np.ndarray  # [rank, label], the record at this rank
    tie_start: np.ndarray  # [rank, label], first rank that has the same score
    tie_end: np.ndarray  # [rank, label], one past the last such rank


def rank(scores: Scores) -> Ranking:
    """Returns the ranking of the records for each label, with its ties.

    Raises:
        ValueError: if a score is NaN or infinite.
    """
    check_finite(scores)
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=0)
    starts = np.ones(scores.shape, bool)
    starts[1:] = ranked[1:] != ranked[:-1]
    ends = np.roll(starts, -1, axis=0)
    places = np.arange(len(scores))[:, np.newaxis]
    past_end = np.where(ends, places + 1, len(scores))
    return Ranking(
        order=order,
        tie_start=np.maximum.accumulate(np.where(starts, places, 0), axis=0),
        tie_end=np.minimum.accumulate(past_end[::-1], axis=0)[::-1],
    )


def roc_auc(ranking: Ranking, labels: Labels) -> Float[np.ndarray, " label"]:
    """Returns the area under each label's ROC curve; NaN without both classes.

    It is the share of pairs of a positive and a negative record in which the positive
    one scores higher, a tie counting half: exact, whatever the ties.

    References:
        Hanley and McNeil, 1982, doi 10.1148/radiology.143.1.7063747.
    """
    hits, found = _cumulate(ranking, labels)
    false_above = ranking.tie_start - _at(found, ranking.tie_start)
    false_through = ranking.tie_end - _at(found, ranking.tie_end)
    lost = (hits * (false_above + false_through)).sum(axis=0) / 2
    positives = found[-1]
    with np.errstate(invalid="ignore"):  # 0 / 0 where a class is missing
        return 1 - lost / (positives * (len(hits) - positives))


def average_precision(ranking: Ranking, labels: Labels) -> Float[np.ndarray, " label"]:
    """Returns each label's average precision; NaN without a positive record.

    It is the mean over the positive records of the precision at their score, without
    interpolation.
    """
    hits, found = _cumulate(ranking, labels)
    precision = _at(found, ranking.tie_end) / ranking.tie_end
    with np.errstate(invalid="ignore"):  # 0 / 0 where no record is positive
        return (hits * precision).sum(axis=0) / found[-1]


def check_finite(scores: np.ndarray) -> None:
    """Checks that all scores [record, label] are finite.

    Raises:
        ValueError: if a score is NaN or infinite.
    """
    bad = np.argwhere(~np.isfinite(scores))
    if len(bad):
        record, label = bad[0]
        raise ValueError(
            f"expected finite scores, found {len(bad)} that are not, the first of "
            f"record {record}, label {label} (counted from 0). The model has diverged; "
            "train it with a lower learning rate."
        )


def _cumulate(ranking: Ranking, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ranked labels, and how many are 1 in the first 0, 1, ... ranks."""
    hits = np.take_along_axis(labels, ranking.order, axis=0).astype(np.int64)
    found = np.zeros((len(hits) + 1, hits.shape[1]), np.int64)
    np.cumsum(hits, axis=0, out=found[1:])
    return hits, found


def _at(found: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.take_along_axis(found, places, axis=0)
