"""All numbers of an evaluated split, with bootstrap intervals, as report.json has them.

The three heads are measured on the same resamples of the split's records.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrm_jax import intervals, thresholds, types
from mrm_jax.report import head as heads
from mrm_jax.report import resampling

LABEL_METRICS = tuple(
    "auc average_precision f1 f1_at_threshold sensitivity specificity ppv".split()
)
CALIBRATION = tuple("ece brier nll ece_scaled brier_scaled nll_scaled".split())


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A split's scores, and what they are judged by."""

    scores: types.SplitScores
    thresholds: Mapping[str, thresholds.Thresholds]  # by head
    split: str = "test"
    val: types.SplitScores | None = None  # reported beside it, without intervals
    resamples: int = intervals.RESAMPLES
    seed: int = intervals.SEED  # of the resamples


def evaluate(
    evaluated: Evaluated, label_names: Sequence[str], descriptions: Sequence[str]
) -> dict[str, Any]:
    """Returns the parts of report.json that are numbers; NaN is what is not defined.

    Args:
        evaluated: the split.
        label_names: [label].
        descriptions: [label].

    Returns:
        the split's name, and "val": head -> metric -> number. CPSC2018's score is among
            them where all first labels are known.
        "intervals": level, resamples, seed, note (why there are none, or None), heads:
            head -> metric -> [low, high], None for what has no interval.
        "labels": label, description, positive_records, heads: head -> threshold,
            LABEL_METRICS, and "..._interval" of each of these.
        "calibration": head -> temperature, CALIBRATION, and "..._interval" of each of
            these; reliability, reliability_scaled: bins.

    Raises:
        ValueError: if scores are none (`metrics.check`), or thresholds are of others.
    """
    split, chosen = evaluated.scores, evaluated.thresholds
    counts, note = resampling.draw(
        split.labels, label_names, evaluated.resamples, evaluated.seed
    )
    found = {
        head: heads.measure(split, scores, chosen[head], counts)
        for head, scores in split.heads.items()
    }
    val = {} if evaluated.val is None else {"val": _of_val(evaluated.val)}
    return {
        **val,
        evaluated.split: {head: of_head.overall for head, of_head in found.items()},
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


def _of_val(val: types.SplitScores) -> dict[str, dict[str, float | int]]:
    return {head: heads.overall(val, scores) for head, scores in val.heads.items()}


def _intervals(
    found: Mapping[str, heads.Head], evaluated: Evaluated, note: str | None
) -> dict[str, Any]:
    return {
        "level": intervals.LEVEL,
        "resamples": evaluated.resamples,
        "seed": evaluated.seed,
        "note": note,
        "heads": {
            head: {name: _pair(of_head, name) for name in of_head.overall}
            for head, of_head in found.items()
        },
    }


def _label(
    found: heads.Head, chosen: thresholds.Thresholds, label: int
) -> dict[str, Any]:
    result: dict[str, Any] = {"threshold": chosen.by_label[label]}
    for name in LABEL_METRICS:
        result[name] = float(found.others[f"label_{name}"][label])
        result[f"{name}_interval"] = _pair(found, f"label_{name}", label)
    return result


def _calibration(found: heads.Head, temperature: float) -> dict[str, Any]:
    result: dict[str, Any] = {"temperature": temperature}
    for name in CALIBRATION:
        result[name] = float(found.others[name])
        result[f"{name}_interval"] = _pair(found, name)
    bins = {f"reliability{suffix}": of for suffix, of in found.reliability.items()}
    return result | bins


def _pair(found: heads.Head, name: str, label: int | None = None) -> list[float] | None:
    """Returns both ends of an interval, None where there is none."""
    if name not in found.intervals:
        return None
    ends = found.intervals[name]
    if label is not None:
        ends = ends[:, label]
    return None if np.isnan(ends).any() else ends.tolist()
