"""The numbers of one head's scores, and of their bootstrap resamples, by name."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mrm_jax import (
    calibration,
    cpsc_score,
    findings,
    intervals,
    metrics,
    temperature_scaling,
    thresholds,
    types,
)

SCALED = "_scaled"  # ends the name of what is measured after the temperature

Values = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Head:
    """What is measured of one head. What is of each label is called "label_..."."""

    overall: dict[str, float | int]  # as `overall`
    others: Values  # [*label]; of `findings` and of `calibration`, plain and scaled
    intervals: Values  # [2, *label], of any of these; those without one are left out
    reliability: dict[str, list[dict[str, Any]]]  # "" and SCALED -> bins


def measure(
    split: types.SplitScores,
    scores: np.ndarray,
    chosen: thresholds.Thresholds,
    counts: np.ndarray | None,
) -> Head:
    """Returns all numbers of a head.

    Args:
        split: the records and their labels.
        scores: of the head, [record, label].
        chosen: what they are judged by.
        counts: [resample, record], from `intervals.draw`; None: no intervals.

    Raises:
        ValueError: as `metrics.check` and `findings.terms`.
    """
    labels = split.labels
    scaled = temperature_scaling.scale(scores, chosen.temperature)
    calibrated = {
        "": calibration.terms(scores, labels),
        SCALED: calibration.terms(scaled, labels),
    }
    weigh = _weigher(split, scores, chosen, calibrated)
    by_label = dataclasses.asdict(metrics.evaluate_labels(scores, labels))
    others = {name: v[0] for name, v in weigh(np.ones((1, len(labels)))).items()}
    resampled: Values = {}
    if counts is not None:
        resampled = intervals.evaluate(scores, labels, counts, chosen.overall)
        resampled |= weigh(counts.astype(np.float64))
        for name in ("ece", "ece" + SCALED):
            resampled[name] = calibration.reflect_ece(
                resampled[name], float(others[name])
            )
    return Head(
        overall=overall(split, scores, chosen.overall),
        others=_of_labels(by_label) | others,
        intervals={name: intervals.percentile(v) for name, v in resampled.items()},
        reliability={
            suffix: calibration.reliability(terms)
            for suffix, terms in calibrated.items()
        },
    )


def overall(
    split: types.SplitScores, scores: np.ndarray, val_threshold: float | None = None
) -> dict[str, float | int]:
    """Returns `metrics.evaluate`, and CPSC2018's score if all first labels are known.

    Raises:
        ValueError: as `metrics.check`.
    """
    result = metrics.evaluate(scores, split.labels, val_threshold)
    first = first_label(split)
    if first is not None:
        result |= cpsc_score.evaluate(scores, split.labels, first)
    return result


def _weigher(
    split: types.SplitScores,
    scores: np.ndarray,
    chosen: thresholds.Thresholds,
    calibrated: Mapping[str, calibration.Terms],
) -> Callable[[np.ndarray], Values]:
    """Returns the function of weights [sample, record] to numbers [sample, *label].

    What does not depend on the weights is computed here, once.
    """
    found = findings.terms(scores, split.labels, np.array(chosen.by_label))
    first = first_label(split)
    cells = None
    if first is not None:
        cells = cpsc_score.record_cells(scores, split.labels, first)

    def weigh(weights: np.ndarray) -> Values:
        """Returns numbers [sample, *label] of weights [sample, record]."""
        result = _of_labels(findings.weighted(found, weights))
        for suffix, terms in calibrated.items():
            measures = calibration.weighted(terms, weights)
            result |= {name + suffix: value for name, value in measures.items()}
        if cells is not None:
            result |= cpsc_score.weighted(cells, weights)
        return result

    return weigh


def first_label(split: types.SplitScores) -> np.ndarray | None:
    """Returns the first labels if all are known."""
    if split.first_label is None or (split.first_label < 0).any():
        return None
    return split.first_label


def _of_labels(values: Mapping[str, np.ndarray]) -> Values:
    """Returns the values by the names that `intervals` has for labels."""
    return {f"label_{name}": value for name, value in values.items()}
