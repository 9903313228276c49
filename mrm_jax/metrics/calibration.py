"""Calibration: do scores match the observed frequencies of labels?

A cell is one label of one record, and all cells count alike. Most cells are absent
labels scored near 0, so the error over all cells is smaller than the error among
predicted labels; `reliability` shows where it lies.

    temperature = calibration.fit(val_scores, val_labels)
    scaled = calibration.scale(scores, temperature)
    statistics = calibration.per_record(scaled, labels)
    calibration.aggregate(statistics, np.ones((1, len(scores))))["ece"]

`fit` and `scale` do temperature scaling. `per_record` and `aggregate` compute the
expected calibration error, the Brier score and the log loss, also of resampled records.
"""

import dataclasses

import numpy as np
import scipy  # it loads its packages when they are used
from jaxtyping import Float

from mrm_jax.metrics import classification
from mrm_jax.metrics.ranking import Labels, Scores

TEMPERATURES = (0.05, 20.0)  # searched by `fit`; logits beyond carry no information
# Half of float32's step below 1: keeps the logit of a score of 0 or 1 finite.
MARGIN = 2.0**-24
NUM_BINS = 15  # as Guo et al.
EDGES = np.arange(NUM_BINS + 1) / NUM_BINS


def fit(scores: Scores, labels: Labels) -> float:
    """Returns the temperature in TEMPERATURES with the lowest mean cross-entropy.

    The mean is over all cells. Logits are computed from the scores, so the mean of two
    heads has a temperature as well.

    References:
        Guo et al., 2017, arXiv 1706.04599.
    """
    logits = logits_of(scores)
    low, high = np.log(TEMPERATURES)
    found = scipy.optimize.minimize_scalar(
        lambda log: _cross_entropy(logits / np.exp(log), labels).mean(),
        bounds=(low, high),
        method="bounded",
    )
    return float(np.exp(found.x))


def scale(scores: Scores, temperature: float) -> Float[np.ndarray, "record label"]:
    """Returns sigmoid(logit(score) / temperature), in float64."""
    return scipy.special.expit(logits_of(scores) / temperature)


@dataclasses.dataclass(frozen=True)
class RecordStatistics:
    """Statistics of each record, which `aggregate` adds up."""

    cells: np.ndarray  # [record, bin], number of cells
    scores: np.ndarray  # [record, bin], sum of their scores
    ones: np.ndarray  # [record, bin], number of cells whose label is present
    brier: np.ndarray  # [record], mean over labels
    nll: np.ndarray  # [record], mean over labels, in nats


def per_record(scores: Scores, labels: Labels) -> RecordStatistics:
    """Returns the statistics of each record.

    A bin includes its lower edge, and the last bin includes both edges.

    Raises:
        ValueError: as `classification.check`.
    """
    classification.check(scores, labels)
    wide = scores.astype(np.float64)
    bins = np.digitize(wide, EDGES[1:-1])
    return RecordStatistics(
        cells=_sum_bins(bins, np.ones_like(wide)),
        scores=_sum_bins(bins, wide),
        ones=_sum_bins(bins, labels),
        brier=np.mean((wide - labels) ** 2, axis=1),
        nll=cross_entropy(scores, labels).mean(axis=1),
    )


def aggregate(
    statistics: RecordStatistics, weights: Float[np.ndarray, "sample record"]
) -> dict[str, Float[np.ndarray, " sample"]]:
    """Returns the metrics of samples in which `weights` counts each record.

    Returns:
        ece: expected calibration error, sum over bins of n_bin / n * |mean score of
            the bin - share of its cells that are present|. It is biased upwards for few
            records; see `basic_interval_ece`.
        brier: mean squared difference between score and label.
        nll: mean cross-entropy, in nats.

    References:
        Naeini et al., 2015, doi 10.1609/aaai.v29i1.9602 (ece of a binary outcome; here
        each cell is one), with equal-width bins as in Guo et al., 2017, arXiv
        1706.04599.
    """
    size = weights.sum(axis=1)
    num_cells = weights @ statistics.cells.sum(axis=1)
    gaps = np.abs(weights @ statistics.scores - weights @ statistics.ones)
    return {
        "ece": gaps.sum(axis=1) / num_cells,
        "brier": weights @ statistics.brier / size,
        "nll": weights @ statistics.nll / size,
    }


def basic_interval_ece(
    values: Float[np.ndarray, " resample"], value: float
) -> Float[np.ndarray, " resample"]:
    """Returns values whose percentile interval is the basic interval of the ece.

    The ece is biased upwards, the more so the fewer records there are, and resampling
    adds the same bias again: all resamples may lie above the ece of the split. The
    basic interval subtracts the bias of the resamples. The ece of the split keeps its
    own bias, so it may lie at the upper end of the interval or above. Values below 0
    become 0.

    In simulations of 336 records with 5 labels, the 95 % interval contains the true ece
    of 0.0175 in 90 % of the cases, and the ece of calibrated scores, 0, in 69 %. A
    lower end near 0 is therefore no proof of an error.

    Args:
        values: ece of the resamples.
        value: ece of the split.

    References:
        Davison and Hinkley, 1997, Bootstrap Methods and their Application, chapter 5.2.
    """
    return np.maximum(2 * value - values, 0)


def reliability(statistics: RecordStatistics) -> list[dict[str, float | int | None]]:
    """Returns each bin's edges, number of cells, mean score and observed frequency.

    The mean score and the frequency ("share") of an empty bin are None.
    """
    columns = (statistics.cells, statistics.scores, statistics.ones)
    sums = zip(*(column.sum(axis=0).tolist() for column in columns), strict=True)
    return [
        {
            "from": float(EDGES[i]),
            "to": float(EDGES[i + 1]),
            "cells": int(cells),
            "score": scores / cells if cells else None,
            "share": ones / cells if cells else None,
        }
        for i, (cells, scores, ones) in enumerate(sums)
    ]


def cross_entropy(scores: Scores, labels: Labels) -> Float[np.ndarray, "record label"]:
    """Returns the cross-entropy of each cell, in nats; MARGIN bounds it by 16.7."""
    return _cross_entropy(logits_of(scores), labels)


def _sum_bins(bins: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the sum of each record's values in each bin, [record, bin]."""
    places = bins + NUM_BINS * np.arange(len(bins))[:, np.newaxis]
    size = NUM_BINS * len(bins)
    sums = np.bincount(places.ravel(), values.ravel(), minlength=size)
    return sums.reshape(len(bins), NUM_BINS)


def logits_of(scores: np.ndarray) -> np.ndarray:
    """Returns the logits of scores, in float64; MARGIN keeps them finite."""
    wide = scores.astype(np.float64)
    return scipy.special.logit(np.clip(wide, MARGIN, 1 - MARGIN))


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, np.where(labels == 1, -logits, logits))
