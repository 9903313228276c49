"""Paired comparison of runs: differences with bootstrap intervals and p-values.

All runs are evaluated on the same bootstrap resamples of the same records, so that easy
and hard resamples cancel out. A difference is B minus A. It is positive where B is
better, as more is better in every metric here.

References:
    Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapters 13 and 15.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mrm_jax.metrics import (
    bootstrap,
    classification,
    cpsc2018,
    names,
    significance,
    summary,
)
from mrm_jax.metrics.scores import SplitScores

MAX_NAMED = 3  # of records that differ
ADVICE = "Score both runs on the same shards (--data)."

Track = Callable[[Iterable[Any], int], Iterable[Any]]
ByHead = dict[str, dict[str, Any]]  # head -> metric -> value


@dataclasses.dataclass(frozen=True)
class Contender:
    """A run and its scores of the records on which it is compared."""

    name: str  # folder of the run
    facts: Mapping[str, Any]  # seed, epoch, command
    labels: Sequence[str]  # [label], names
    scores: SplitScores
    thresholds: Mapping[str, float]  # by head, from the run's validation records

    def describe(self) -> dict[str, Any]:
        """Returns the metadata of the run, as stored in results."""
        return {"workdir": self.name, **self.facts}


def observe(run: Contender) -> ByHead:
    """Returns the metrics of each head on the records."""
    return {
        head: summary.overall(run.scores, scores, run.thresholds[head])
        for head, scores in run.scores.heads.items()
    }


def resample(run: Contender, counts: np.ndarray) -> ByHead:
    """Returns the metrics of each resample: [resample], per label [resample, label]."""
    split, first = run.scores, summary.first_label(run.scores)
    found = {}
    for head, scores in split.heads.items():
        threshold = run.thresholds[head]
        found[head] = bootstrap.evaluate(scores, split.labels, counts, threshold)
        if first is not None:
            cells = cpsc2018.record_cells(scores, split.labels, first)
            found[head] |= cpsc2018.aggregate(cells, counts.astype(np.float64))
    return found


def compare(
    runs: Sequence[Contender],
    resamples: int = bootstrap.RESAMPLES,
    seed: int = bootstrap.SEED,
    track: Track = lambda items, total: items,
) -> dict[str, Any]:
    """Returns the differences between each later run, B, and the first run, A.

    Args:
        runs: two runs or more.
        resamples: number of bootstrap resamples.
        seed: seed of the resamples.
        track: wraps the runs while they are resampled, to show progress.

    Returns:
        intervals: level, resamples, seed, `note` (why there are no intervals, or None),
            `rare_note` (why some labels have none, or None), and the entries of
            `significance.limits`.
        a: metadata of the first run.
        others: for each later run, its metadata as `b`, the differences by head and
            metric, and the differences in AUC by label and head; None where undefined.

    Raises:
        ValueError: if two runs were not scored on the same records and labels; the
            message names what differs.
    """
    first, *others = runs
    for other in others:
        check_same_records(first, other)
    heads = _shared_heads(runs)
    counts, note = significance.draw(first.scores.labels, first.labels, resamples, seed)
    rare = significance.is_rare(first.scores.labels)
    if counts is None:
        values: list[ByHead] = [{head: {} for head in heads} for _ in runs]
    else:
        values = [
            {head: resampled[head] for head in heads}
            for resampled in (resample(run, counts) for run in track(runs, len(runs)))
        ]
    return {
        "intervals": {
            "level": bootstrap.LEVEL,
            "resamples": resamples,
            "seed": seed,
            "note": note,
            "rare_note": _note_of(rare),
            **significance.limits(
                resamples, 0 if counts is None else int((~rare).sum())
            ),
        },
        "a": first.describe(),
        "others": [
            {
                "b": other.describe(),
                "heads": _compare_heads(first, other, (values[0], of_other)),
                "labels": _compare_labels(first, other, (values[0], of_other)),
            }
            for other, of_other in zip(others, values[1:], strict=True)
        ],
    }


def _shared_heads(runs: Sequence[Contender]) -> list[str]:
    """Returns the heads that all runs have: the mean, and branches of one network."""
    first, *others = runs
    return [
        head
        for head in first.scores.heads
        if all(head in other.scores.heads for other in others)
    ]


def check_same_records(first: Contender, other: Contender) -> None:
    """Checks that two runs were scored on the same records and labels.

    Raises:
        ValueError: if records or labels differ; the message names them.
    """
    where = f"{first.name} and {other.name} cannot be compared"
    if list(first.labels) != list(other.labels):
        raise ValueError(
            f"{where}: their labels are {', '.join(first.labels)} and "
            f"{', '.join(other.labels)}. Compare runs of one label set."
        )
    one, two = first.scores, other.scores
    if not np.array_equal(one.names, two.names):
        raise ValueError(
            f"{where}: {_count(np.setdiff1d(one.names, two.names))} only in the first, "
            f"{_count(np.setdiff1d(two.names, one.names))} only in the second, or in "
            f"another order. {ADVICE}"
        )
    differing = one.names[(one.labels != two.labels).any(axis=1)]
    if len(differing):
        raise ValueError(f"{where}: {_count(differing)} with other labels. {ADVICE}")


def _count(names: np.ndarray) -> str:
    """Returns a text such as "2 records (R1, R2)"."""
    listed = ", ".join(map(str, names[:MAX_NAMED]))
    more = ", ..." if len(names) > MAX_NAMED else ""
    return f"{len(names)} records" + (f" ({listed}{more})" if listed else "")


def _compare_heads(
    first: Contender, other: Contender, values: tuple[ByHead, ByHead]
) -> ByHead:
    ones, twos = observe(first), observe(other)
    return {
        head: {
            metric: _difference(
                ones[head][metric],
                twos[head][metric],
                [of_run[head].get(metric) for of_run in values],
            )
            for metric in names.compared(ones[head].keys() & twos[head].keys())
        }
        for head in values[0]
    }


def _note_of(rare: np.ndarray) -> str | None:
    """Returns why rare labels have no interval and no p-value."""
    if not rare.any():
        return None
    return (
        f"{rare.sum()} of {len(rare)} labels have fewer than {significance.RARE} "
        "records with or without the label, so no interval or p-value"
    )


def _compare_labels(
    first: Contender, other: Contender, values: tuple[ByHead, ByHead]
) -> list[dict[str, Any]]:
    matrix = first.scores.labels
    rare = significance.is_rare(matrix)
    heads: dict[str, list[dict[str, Any]]] = {}
    for head in values[0]:
        one, two = (
            classification.evaluate_labels(run.scores.heads[head], matrix).auc
            for run in (first, other)
        )
        resampled = [of_run[head].get("label_auc") for of_run in values]
        heads[head] = [
            _difference(
                one[label],
                two[label],
                [
                    None if of_run is None or rare[label] else of_run[:, label]
                    for of_run in resampled
                ],
            )
            for label in range(len(one))
        ]
        adjusted = significance.holm([entry["p_value"] for entry in heads[head]])
        for entry, p in zip(heads[head], adjusted, strict=True):
            entry["p_holm"] = p
    return [
        {
            "label": label,
            "positive_records": int(matrix[:, number].sum()),
            "heads": {
                head: {"auc": entries[number]} for head, entries in heads.items()
            },
        }
        for number, label in enumerate(first.labels)
    ]


def _difference(
    one: float, two: float, resampled: Sequence[np.ndarray | None]
) -> dict[str, Any]:
    """Returns one comparison; None where undefined or not resampled."""
    interval, p = None, None
    values_a, values_b = resampled
    if values_a is not None and values_b is not None:
        differences = values_b - values_a
        if np.isfinite(differences).all():
            interval = bootstrap.percentile(differences).tolist()
            p = significance.two_sided(differences)
    return {
        "a": _number(one),
        "b": _number(two),
        "difference": _number(two - one),
        "interval": interval,
        "p_value": p,
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
