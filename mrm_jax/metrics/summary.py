"""Summarises an evaluated split: all numbers of report.json, with bootstrap intervals.

`summarise` computes the content of report.json for all heads, on the same resamples of
the split's records. `summarise_head` computes the numbers of one head, and `overall`
those of the whole split that need no thresholds per label.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mrm_jax.metrics import (
    bootstrap,
    calibration,
    classification,
    cpsc2018,
    names,
    significance,
    thresholds,
)
from mrm_jax.metrics.scores import SplitScores

LABEL_METRICS = tuple(key for key in names.LABEL if key != "threshold")
CALIBRATION = (*names.CALIBRATION, *(key + names.SCALED for key in names.CALIBRATION))

Values = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class HeadSummary:
    """The metrics of one head. Keys of metrics per label begin with "label_"."""

    overall: dict[str, float | int]  # from `overall`
    others: Values  # [*label]: per label, at thresholds, calibration before and after
    intervals: Values  # [2, *label], of any of these; a metric may have none
    reliability: dict[str, list[dict[str, Any]]]  # "" and names.SCALED -> bins


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The scores of a split, and how to evaluate them."""

    scores: SplitScores
    thresholds: Mapping[str, thresholds.Thresholds]  # by head
    split: str = "test"
    val: SplitScores | None = None  # reported as well, without intervals
    resamples: int = bootstrap.RESAMPLES
    seed: int = bootstrap.SEED  # of the resamples


def summarise(
    evaluated: Evaluated, label_names: Sequence[str], descriptions: Sequence[str]
) -> dict[str, Any]:
    """Returns the numbers of report.json; NaN where a metric is not defined.

    Args:
        evaluated: scores of the split, and thresholds.
        label_names: [label], names of the labels.
        descriptions: [label], descriptions of the labels.

    Returns:
        the split's name, and "val": head -> metric -> number. They include the CPSC2018
            score if the first label of every record is known.
        "num_records", "num_unlabelled": number of records, and of those with no label.
        "intervals": level, resamples, seed, note (why there are no intervals, or None),
            heads: head -> metric -> [low, high], or None without an interval.
        "labels": label, description, positive_records, heads: head -> threshold,
            LABEL_METRICS, and "..._interval" of each of these.
        "calibration": head -> temperature, CALIBRATION, and "..._interval" of each of
            these; reliability, reliability_scaled: bins.

    Raises:
        ValueError: if the scores are invalid (`classification.check`), or the
            thresholds belong to other labels.
    """
    split, chosen = evaluated.scores, evaluated.thresholds
    counts, note = significance.draw(
        split.labels, label_names, evaluated.resamples, evaluated.seed
    )
    found = {
        head: summarise_head(split, scores, chosen[head], counts)
        for head, scores in split.heads.items()
    }
    val = {} if evaluated.val is None else {"val": _of_val(evaluated.val)}
    return {
        **val,
        evaluated.split: {head: of_head.overall for head, of_head in found.items()},
        "num_records": len(split.labels),
        "num_unlabelled": int((~split.labels.any(axis=1)).sum()),
        "intervals": _intervals(found, evaluated, note),
        "labels": [
            {
                "label": name,
                "description": description,
                "positive_records": int((split.labels[:, i] == 1).sum()),
                "heads": {head: _label(found[head], chosen[head], i) for head in found},
            }
            for i, (name, description) in enumerate(
                zip(label_names, descriptions, strict=True)
            )
        ],
        "calibration": {
            head: _calibration(found[head], chosen[head].temperature) for head in found
        },
    }


def _of_val(val: SplitScores) -> dict[str, dict[str, float | int]]:
    return {head: overall(val, scores) for head, scores in val.heads.items()}


def _intervals(
    found: Mapping[str, HeadSummary], evaluated: Evaluated, note: str | None
) -> dict[str, Any]:
    return {
        "level": bootstrap.LEVEL,
        "resamples": evaluated.resamples,
        "seed": evaluated.seed,
        "note": note,
        "heads": {
            head: {name: _pair(of_head, name) for name in of_head.overall}
            for head, of_head in found.items()
        },
    }


def _label(
    found: HeadSummary, chosen: thresholds.Thresholds, label: int
) -> dict[str, Any]:
    result: dict[str, Any] = {"threshold": chosen.by_label[label]}
    for name in LABEL_METRICS:
        result[name] = float(found.others[f"label_{name}"][label])
        result[f"{name}_interval"] = _pair(found, f"label_{name}", label)
    return result


def _calibration(found: HeadSummary, temperature: float) -> dict[str, Any]:
    result: dict[str, Any] = {"temperature": temperature}
    for name in CALIBRATION:
        result[name] = float(found.others[name])
        result[f"{name}_interval"] = _pair(found, name)
    bins = {f"reliability{suffix}": of for suffix, of in found.reliability.items()}
    return result | bins


def _pair(
    found: HeadSummary, name: str, label: int | None = None
) -> list[float] | None:
    """Returns both ends of an interval, or None if there is none."""
    if name not in found.intervals:
        return None
    ends = found.intervals[name]
    if label is not None:
        ends = ends[:, label]
    return None if np.isnan(ends).any() else ends.tolist()


def summarise_head(
    split: SplitScores,
    scores: np.ndarray,
    chosen: thresholds.Thresholds,
    counts: np.ndarray | None,
) -> HeadSummary:
    """Returns all metrics of one head.

    Args:
        split: the records and their labels.
        scores: [record, label], scores of the head.
        chosen: thresholds and temperature of the head.
        counts: [resample, record], from `bootstrap.draw`; None for no intervals.

    Raises:
        ValueError: as `classification.check` and `thresholds.per_record`.
    """
    labels = split.labels
    scaled = calibration.scale(scores, chosen.temperature)
    calibrated = {
        "": calibration.per_record(scores, labels),
        names.SCALED: calibration.per_record(scaled, labels),
    }
    aggregate = _aggregator(split, scores, chosen, calibrated)
    by_label = dataclasses.asdict(classification.evaluate_labels(scores, labels))
    others = {name: v[0] for name, v in aggregate(np.ones((1, len(labels)))).items()}
    resampled: Values = {}
    if counts is not None:
        resampled = bootstrap.evaluate(scores, labels, counts, chosen.overall)
        resampled |= aggregate(counts.astype(np.float64))
        for name in ("ece", "ece" + names.SCALED):
            resampled[name] = calibration.basic_interval_ece(
                resampled[name], float(others[name])
            )
    return HeadSummary(
        overall=overall(split, scores, chosen.overall),
        others=_of_labels(by_label) | others,
        intervals={name: bootstrap.percentile(v) for name, v in resampled.items()},
        reliability={
            suffix: calibration.reliability(statistics)
            for suffix, statistics in calibrated.items()
        },
    )


def overall(
    split: SplitScores, scores: np.ndarray, val_threshold: float | None = None
) -> dict[str, float | int]:
    """Returns `classification.evaluate`, and the CPSC2018 score if it is defined.

    Raises:
        ValueError: as `classification.check`.
    """
    result = classification.evaluate(scores, split.labels, val_threshold)
    first = first_label(split)
    if first is not None:
        result |= cpsc2018.evaluate(scores, split.labels, first)
    return result


def _aggregator(
    split: SplitScores,
    scores: np.ndarray,
    chosen: thresholds.Thresholds,
    calibrated: Mapping[str, calibration.RecordStatistics],
) -> Callable[[np.ndarray], Values]:
    """Returns a function from weights [sample, record] to metrics [sample, *label].

    The statistics per record do not depend on the weights and are computed once.
    """
    at_thresholds = thresholds.per_record(
        scores, split.labels, np.array(chosen.by_label)
    )
    first = first_label(split)
    cells = None
    if first is not None:
        cells = cpsc2018.record_cells(scores, split.labels, first)

    def aggregate(weights: np.ndarray) -> Values:
        """Returns metrics [sample, *label] of weights [sample, record]."""
        result = _of_labels(thresholds.aggregate(at_thresholds, weights))
        for suffix, statistics in calibrated.items():
            metrics = calibration.aggregate(statistics, weights)
            result |= {name + suffix: value for name, value in metrics.items()}
        if cells is not None:
            result |= cpsc2018.aggregate(cells, weights)
        return result

    return aggregate


def first_label(split: SplitScores) -> np.ndarray | None:
    """Returns the first label of each record, or None if any is unknown."""
    if split.first_label is None or (split.first_label < 0).any():
        return None
    return split.first_label


def _of_labels(values: Mapping[str, np.ndarray]) -> Values:
    """Returns the values with "label_" before their keys."""
    return {f"label_{name}": value for name, value in values.items()}
