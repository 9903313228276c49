"""Bootstrap intervals for the metrics of a split.

    counts = bootstrap.draw(labels, bootstrap.RESAMPLES, np.random.default_rng(seed))
    values = bootstrap.evaluate(scores, labels, counts)
    low, high = bootstrap.percentile(values["macro_auc"])

A resample is stored as counts: how often it contains each record. Every metric is then
computed from weighted records, which are sorted once for all resamples. Models are
compared on the same counts: `values["macro_auc"] - others["macro_auc"]` is the
difference in each resample.

A metric that is perfect on the split is perfect in every resample. An interval from 1
to 1 means that no resample had an error, not that there will be none.

References:
    Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapter 13.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from mrm_jax.metrics import classification, ranking
from mrm_jax.metrics.ranking import Labels, Scores

LEVEL = 0.95
RESAMPLES = 1000
SEED = 0  # of reports, so that anyone can draw the same resamples again
# Sizes in cells, resamples times records. A block is processed at once: small enough
# for the cache, but with at least MIN_BLOCK resamples to keep array operations long.
BLOCK_CELLS = 2**18
MIN_BLOCK = 16
DRAW_CELLS = 2**20
# From this many resamples on, `draw` gives up if valid ones are too rare. On PTB-XL's
# fold 10 with all labels, 9 of 10 resamples are rejected.
MAX_REJECTED = 50_000
MAX_DRAWN = 1000  # for each valid one

Counts = Int[np.ndarray, "resample record"]


class InsufficientPositivesError(ValueError):
    """Too few resamples have both classes of every label."""

    def __init__(self, message: str, label: int):
        """Stores the label that most often lacks a class."""
        super().__init__(message)
        self.label = label


@dataclasses.dataclass(frozen=True)
class _Ranks:
    """One label's records, sorted from the highest score down, and their counts."""

    positives: np.ndarray  # [positive], records
    negatives: np.ndarray  # [negative], records
    above: np.ndarray  # [positive], number of negatives with a higher score
    reached: np.ndarray  # [positive], of negatives with a higher or the same score
    found: np.ndarray  # [positive], of positives with a higher or the same score


def draw(labels: Labels, resamples: int, rng: np.random.Generator) -> Counts:
    """Returns how often each resample contains each record.

    Each resample draws as many records as the split has, with replacement. A resample
    in which a label lacks a class is drawn again, except for labels that lack a class
    in the whole split. With the same generator, a smaller number of resamples is a
    prefix of a larger one.

    Raises:
        InsufficientPositivesError: if, of MAX_REJECTED resamples or more, fewer than
            one in MAX_DRAWN have both classes of each label.
    """
    columns = np.flatnonzero(classification.has_both_classes(labels))
    usable = (labels[:, columns] == 1).astype(np.float32)  # exact up to 2**24 records
    accepted = np.zeros((0, len(labels)), np.int32)
    num_lacking = np.zeros(len(columns), np.int64)
    num_drawn = 0
    while len(accepted) < resamples:
        if num_drawn >= MAX_REJECTED and num_drawn > MAX_DRAWN * len(accepted):
            rarest = int(columns[num_lacking.argmax()])
            raise InsufficientPositivesError(
                f"{num_drawn - len(accepted)} of {num_drawn} resamples lack a class of "
                f"a label, most often of label {rarest} (counted from 0), which is "
                f"present in {int(labels[:, rarest].sum())} of {len(labels)} records. "
                "Remove the rarest labels or evaluate more records.",
                rarest,
            )
        counts = _draw_once(len(labels), rng)
        positives = counts.astype(np.float32) @ usable
        lacking = (positives == 0) | (positives == len(labels))
        accepted = np.concatenate([accepted, counts[~lacking.any(axis=1)]])
        num_lacking += lacking.sum(axis=0)
        num_drawn += len(counts)
    return accepted[:resamples]


def evaluate(
    scores: Scores,
    labels: Labels,
    counts: np.ndarray,
    val_threshold: float | None = None,
) -> dict[str, np.ndarray]:
    """Returns the metrics of each resample by name.

    They equal the metrics of `classification` when each record is repeated `counts`
    times. Fmax takes the best threshold of each resample.

    Args:
        scores: 0 to 1.
        labels: 0 or 1.
        counts: [resample, record], from `draw`.
        val_threshold: as for `classification.evaluate`.

    Returns:
        macro_auc, macro_ap, macro_f1, tpr, f1, accuracy, fmax, and with val_threshold
            f_at_val_threshold: [resample], as in `classification.evaluate`.
        label_auc, label_average_precision, label_f1: [resample, label], as in
            `classification.evaluate_labels`.

    Raises:
        ValueError: as `classification.check`, or if the counts belong to other records.
    """
    classification.check(scores, labels)
    if not len(counts) or counts.shape[1:] != (len(labels),):
        raise ValueError(
            f"expected counts [resample, {len(labels)}], found shape {counts.shape}; "
            "draw the counts for these records"
        )
    split = _Split(scores, labels, val_threshold)
    block = max(MIN_BLOCK, BLOCK_CELLS // len(labels))
    parts = [
        split.evaluate(counts[start : start + block])
        for start in range(0, len(counts), block)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile(
    values: Float[np.ndarray, "resample *label"], level: float = LEVEL
) -> Float[np.ndarray, "2 *label"]:
    """Returns both ends of the percentile interval; NaN where a value is NaN.

    Args:
        values: values of one metric, or differences between two models.
        level: share of the resamples inside the interval.
    """
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)


class _Split:
    """The parts of a split's metrics that do not depend on the resample."""

    def __init__(self, scores: Scores, labels: Labels, val_threshold: float | None):
        """Sorts the records and computes their statistics."""
        self._usable = classification.has_both_classes(labels)
        ranked = ranking.rank(scores)
        self._ranks = [_rank(ranked, labels, i) for i in range(labels.shape[1])]
        predicted = scores >= classification.THRESHOLD
        self._positives = (labels == 1).astype(np.float64)
        self._correct = self._positives * predicted
        self._marked = self._positives + predicted
        self._records = classification.evaluate_records(scores, labels)
        self._f_statistics = {
            "fmax": classification.f_per_record(
                scores, labels, classification.FMAX_THRESHOLDS
            )
        }
        if val_threshold is not None:
            self._f_statistics["f_at_val_threshold"] = classification.f_per_record(
                scores, labels, np.array([val_threshold])
            )

    def evaluate(self, counts: Counts) -> dict[str, np.ndarray]:
        """Returns the metrics of a block of resamples."""
        weights = counts.astype(np.float64)
        by_label = {**self._ranked(counts), "label_f1": self._f1(weights)}
        size = weights.sum(axis=1)
        return {
            "macro_auc": self._macro(by_label["label_auc"]),
            "macro_ap": self._macro(by_label["label_average_precision"]),
            "macro_f1": self._macro(by_label["label_f1"]),
            **{name: weights @ v / size for name, v in self._records.items()},
            **{
                name: classification.aggregate_f(statistics, weights).max(axis=1)
                for name, statistics in self._f_statistics.items()
            },
            **by_label,
        }

    def _ranked(self, counts: Counts) -> dict[str, np.ndarray]:
        # Records first, so that an operation runs over the resamples of a record; and
        # as integers, which are exact and add up faster.
        by_record = np.ascontiguousarray(counts.T, dtype=np.int32)
        found = np.array([_rank_metrics(ranks, by_record) for ranks in self._ranks])
        return {
            "label_auc": found[:, 0].T,
            "label_average_precision": found[:, 1].T,
        }

    def _f1(self, weights: np.ndarray) -> np.ndarray:
        f1 = classification.ratio(2 * weights @ self._correct, weights @ self._marked)
        return np.where(weights @ self._positives > 0, f1, np.nan)

    def _macro(self, values: np.ndarray) -> np.ndarray:
        if not self._usable.any():
            return np.full(len(values), np.nan)
        return values[:, self._usable].mean(axis=1)


def _draw_once(num_records: int, rng: np.random.Generator) -> Counts:
    """Returns the counts of DRAW_CELLS // num_records resamples, valid or not."""
    resamples = max(1, DRAW_CELLS // num_records)
    records = rng.integers(num_records, size=(resamples, num_records))
    cells = records + num_records * np.arange(resamples)[:, np.newaxis]
    counts = np.bincount(cells.ravel(), minlength=cells.size)
    return counts.astype(np.int32).reshape(cells.shape)


def _rank(ranked: ranking.Ranking, labels: Labels, label: int) -> _Ranks:
    order = ranked.order[:, label]
    positive = labels[order, label] == 1
    found = np.concatenate([[0], positive.cumsum()])  # among the first 0, 1, ... ranks
    start, end = ranked.tie_start[positive, label], ranked.tie_end[positive, label]
    return _Ranks(
        positives=order[positive],
        negatives=order[~positive],
        above=start - found[start],
        reached=end - found[end],
        found=found[end],
    )


def _rank_metrics(
    ranks: _Ranks, counts: Int[np.ndarray, "record resample"]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns AUC and average precision, [resample]; formulas as in `ranking`."""
    hits = counts[ranks.positives]
    true, false = _cumulate(hits), _cumulate(counts[ranks.negatives])
    found, reached = true[ranks.found], false[ranks.reached]
    passed = false[ranks.above] + reached
    lost = np.einsum("ij,ij->j", hits, passed, dtype=np.float64) / 2
    # Where nothing is reached, nothing is found either, and the hit counts 0 times.
    precision = found / np.maximum(found + reached, 1)
    num_positives, num_negatives = true[-1].astype(np.float64), false[-1]
    with np.errstate(invalid="ignore"):  # 0 / 0 where a class is missing
        auc = 1 - lost / (num_positives * num_negatives)
        return auc, np.einsum("ij,ij->j", hits, precision) / num_positives


def _cumulate(counts: np.ndarray) -> np.ndarray:
    """Returns the sums of the first 0, 1, ... rows, [row + 1, resample]."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]), counts.dtype)
    np.cumsum(counts, axis=0, dtype=counts.dtype, out=sums[1:])
    return sums
