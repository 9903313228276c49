"""Multi-label classification metrics of a split.

Every function takes NumPy arrays [record, label]: scores from 0 to 1, and labels of 0
and 1. A score equal to a threshold is a positive prediction. Undefined values follow
one rule: a label with only one class in the split is excluded from the macro means, and
any other ratio 0 / 0 counts as 0, so that an undefined value never flatters a model.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from mrm_jax.metrics import ranking
from mrm_jax.metrics.ranking import Labels, Scores

THRESHOLD = 0.5  # of the reference's TPR, F1 and accuracy
FMAX_THRESHOLDS = np.arange(101) / 100


@dataclasses.dataclass(frozen=True)
class LabelMetrics:
    """Metrics of each label; NaN where the labels of the split leave them undefined."""

    auc: np.ndarray  # [label], area under the ROC curve; needs both classes
    average_precision: np.ndarray  # [label]; needs a positive record
    f1: np.ndarray  # [label], at THRESHOLD; needs a positive record


@dataclasses.dataclass(frozen=True)
class FStatistics:
    """Statistics of each record at each threshold, for `aggregate_f`."""

    precision: np.ndarray  # [record, threshold], 0 without a prediction
    has_prediction: np.ndarray  # [record, threshold], 0 or 1
    recall: np.ndarray  # [record, threshold]


def evaluate(
    scores: Scores, labels: Labels, val_threshold: float | None = None
) -> dict[str, float | int]:
    """Returns all metrics of a split by name.

    Args:
        scores: 0 to 1.
        labels: 0 or 1.
        val_threshold: `fmax_threshold` of the validation split; adds F at it.

    Returns:
        macro_auc, macro_ap, macro_f1: means over the `macro_labels` labels that have
            both classes in the split; NaN if there is none.
        tpr, f1: per record at 0.5, averaged over records.
        accuracy, share_of_zeros: accuracy over all cells at 0.5, and the accuracy of
            the all-negative baseline, which predicts no label for any record.
        fmax, fmax_threshold: the best F over thresholds on this split, which is
            optimistic on a test split, and the lowest threshold that reaches it.
        f_at_val_threshold, val_threshold: only with `val_threshold`.

    Raises:
        ValueError: as `check`.
    """
    by_label = evaluate_labels(scores, labels)
    usable = has_both_classes(labels)
    curve = f_curve(scores, labels)
    best = int(curve.argmax())
    result = {
        "macro_auc": _mean(by_label.auc[usable]),
        "macro_ap": _mean(by_label.average_precision[usable]),
        "macro_f1": _mean(by_label.f1[usable]),
        "macro_labels": int(usable.sum()),
        **{name: _mean(v) for name, v in evaluate_records(scores, labels).items()},
        "share_of_zeros": 1 - float(np.mean(labels)),
        "fmax": float(curve[best]),
        "fmax_threshold": float(FMAX_THRESHOLDS[best]),
    }
    if val_threshold is not None:
        at_val = f_curve(scores, labels, np.array([val_threshold]))
        result["f_at_val_threshold"] = float(at_val[0])
        result["val_threshold"] = val_threshold
    return result


def evaluate_labels(scores: Scores, labels: Labels) -> LabelMetrics:
    """Returns the metrics of each label.

    Raises:
        ValueError: as `check`.
    """
    check(scores, labels)
    ranked = ranking.rank(scores)
    f1 = _f1(scores >= THRESHOLD, labels, axis=0)
    return LabelMetrics(
        auc=ranking.roc_auc(ranked, labels),
        average_precision=ranking.average_precision(ranked, labels),
        f1=np.where(labels.any(axis=0), f1, np.nan),
    )


def check(scores: np.ndarray, labels: np.ndarray) -> None:
    """Checks that the arrays are scores and labels of one split.

    Raises:
        ValueError: if the arrays are not of one shape [record, label], are empty, hold
            labels other than 0 and 1, or scores that are not numbers from 0 to 1.
    """
    if scores.shape != labels.shape or scores.ndim != 2 or not scores.size:
        raise ValueError(
            "expected scores and labels of one shape [record, label] without an empty "
            f"axis, found {scores.shape} and {labels.shape}"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"expected labels of 0 and 1, found {np.unique(labels)[:5]}")
    ranking.check_finite(scores)
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError(
            f"expected scores from 0 to 1, found {scores.min():g} to "
            f"{scores.max():g}; apply the sigmoid to logits first"
        )


def has_both_classes(labels: Labels) -> Bool[np.ndarray, " label"]:
    """Returns which labels have a positive and a negative record."""
    ones = (labels == 1).sum(axis=0)
    return (ones > 0) & (ones < len(labels))


def evaluate_records(scores: Scores, labels: Labels) -> dict[str, np.ndarray]:
    """Returns the reference's three metrics of each record, at THRESHOLD.

    Returns:
        tpr, f1, accuracy: [record]; their means are the metrics of the split.
    """
    predicted = scores >= THRESHOLD
    correct = (predicted & (labels == 1)).sum(axis=1)
    return {
        "tpr": ratio(correct, labels.sum(axis=1)),
        "f1": _f1(predicted, labels, axis=1),
        "accuracy": np.mean(predicted == labels, axis=1),
    }


def f_curve(
    scores: Scores,
    labels: Labels,
    thresholds: Float[np.ndarray, " threshold"] = FMAX_THRESHOLDS,
) -> Float[np.ndarray, " threshold"]:
    """Returns the record-centric F at each of the rising thresholds.

    F is the harmonic mean of the precision averaged over the records with a prediction
    and the recall averaged over all records; its maximum is Fmax.

    References:
        Radivojac et al., 2013, doi 10.1038/nmeth.2340.
    """
    return aggregate_f(f_per_record(scores, labels, thresholds), np.ones(len(scores)))


def f_per_record(
    scores: Scores, labels: Labels, thresholds: Float[np.ndarray, " threshold"]
) -> FStatistics:
    """Returns the precision and recall of each record at the rising thresholds."""
    # Each cell clears its first `cleared` thresholds, so that counting the cells by
    # `cleared` serves all thresholds at once.
    cleared = np.searchsorted(thresholds, scores, side="right")
    predicted = _count_cleared(cleared, np.ones_like(cleared), len(thresholds))
    correct = _count_cleared(cleared, labels, len(thresholds))
    return FStatistics(
        precision=ratio(correct, predicted),
        has_prediction=(predicted > 0).astype(np.float64),
        recall=ratio(correct, labels.sum(axis=1, keepdims=True)),
    )


def aggregate_f(
    statistics: FStatistics, weights: Float[np.ndarray, "*sample record"]
) -> Float[np.ndarray, "*sample threshold"]:
    """Returns F at each threshold; `weights` counts each record."""
    precision = ratio(
        weights @ statistics.precision, weights @ statistics.has_prediction
    )
    recall = weights @ statistics.recall / weights.sum(axis=-1, keepdims=True)
    return ratio(2 * precision * recall, precision + recall)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Returns numerator / denominator, and 0 where the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    out = np.zeros(shape)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def _count_cleared(
    cleared: Int[np.ndarray, "record label"], weights: Labels, num_thresholds: int
) -> Float[np.ndarray, "record threshold"]:
    """Returns the weight of each record's cells that clear each threshold."""
    width = num_thresholds + 1
    bins = cleared + width * np.arange(len(cleared))[:, np.newaxis]
    histogram = np.bincount(bins.ravel(), weights.ravel(), width * len(cleared))
    at_least = histogram.reshape(-1, width)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return at_least[:, 1:]


def _f1(predicted: np.ndarray, labels: np.ndarray, axis: int) -> np.ndarray:
    correct = (predicted & (labels == 1)).sum(axis=axis)
    return ratio(2 * correct, predicted.sum(axis=axis) + labels.sum(axis=axis))


def _mean(values: np.ndarray) -> float:
    """Returns the mean, NaN if there is nothing to average."""
    return float(values.mean()) if len(values) else float("nan")
