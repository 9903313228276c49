"""Predictions: the scores of one ECG, as an object and as text."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax.metrics import scores as scores_lib

FEW = 3  # most records that are shown with their scores
MOST_ROWS = 40  # most rows that are shown for more records
NAME_WIDTH = 32
HEADS = scores_lib.MEAN_FIRST
# How the scores of several windows are combined.
AGGREGATES = {
    "mean": lambda scores: scores.mean(axis=0),
    "max": lambda scores: scores.max(axis=0),
    "first": lambda scores: scores[0],
}
RESEARCH = (
    "Scores are for research. They are not a diagnosis; this is not a medical device."
)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Prediction(Mapping[str, float]):
    """The scores of one ECG, as a mapping of labels to scores from 0 to 1.

    `prediction["AF"]` is a score, and `dict(prediction)` has those of all labels. The
    order is that of `labels`. Predictions with equal scores are not equal: each is the
    result of one call.
    """

    name: str
    source: Path | None  # the file; None: created in memory
    duration_s: float
    labels: tuple[str, ...]
    descriptions: tuple[str, ...]  # [label]
    head: str  # head whose scores are reported, one of window_scores
    thresholds: Mapping[str, float]  # label -> score from which it counts as found
    aggregate: str  # one of AGGREGATES
    window_s: float  # duration of a window; a shorter ECG is stretched to it
    window_starts_s: tuple[float, ...]  # [window]
    window_scores: Mapping[str, np.ndarray]  # head -> [window, label], 0 to 1
    notes: tuple[str, ...]  # conversions of the signal, and warnings

    # Those of Mapping compare the scores, which are computed from arrays.
    __eq__, __hash__ = object.__eq__, object.__hash__

    def __getitem__(self, label: str) -> float:
        """Returns the score of a label.

        Raises:
            KeyError: if the network does not know the label; lists those it knows.
        """
        scores = self.scores
        if label not in scores:
            known = ", ".join(self.labels)
            raise KeyError(f"there is no label {label!r}; the labels are {known}")
        return scores[label]

    def __iter__(self) -> Iterator[str]:
        """Returns an iterator over the labels."""
        return iter(self.labels)

    def __len__(self) -> int:
        """Returns the number of labels."""
        return len(self.labels)

    @property
    def scores(self) -> dict[str, float]:
        """The score of each label, from 0 to 1."""
        return self.scores_of(self.head)

    @property
    def found(self) -> tuple[str, ...]:
        """The labels whose score reaches their threshold, highest score first."""
        scores = self.scores
        reached = [
            label for label in self.labels if scores[label] >= self.thresholds[label]
        ]
        return tuple(sorted(reached, key=lambda label: -scores[label]))

    def scores_of(self, head: str) -> dict[str, float]:
        """Returns the score of each label by one head.

        Raises:
            ValueError: if the network has no such head; lists those it has.
        """
        check_choice("head", head, tuple(self.window_scores))
        scores = AGGREGATES[self.aggregate](self.window_scores[head])
        return dict(zip(self.labels, map(float, scores), strict=True))

    def window_of(self, labels: Iterable[str]) -> int:
        """Returns the window with the highest score of any of the labels.

        Returns the first window if there are no labels.

        Raises:
            ValueError: if the network does not know a label; lists those it knows.
        """
        labels = list(labels)
        for label in labels:
            check_choice("label", label, self.labels)
        columns = [self.labels.index(label) for label in labels]
        scores = self.window_scores[self.head][:, columns]
        return int(scores.max(axis=1).argmax()) if columns else 0

    def to_dict(self, windows: bool = False) -> dict[str, Any]:
        """Returns the prediction as JSON, optionally with the scores of each window."""
        entry: dict[str, Any] = {
            "record": self.name,
            "file": None if self.source is None else str(self.source),
            "duration_s": round(self.duration_s, 3),
            "num_windows": len(self.window_starts_s),
            "found": list(self.found),
            "scores": {head: self.scores_of(head) for head in self.window_scores},
            "notes": list(self.notes),
        }
        if windows:
            entry["windows"] = [
                {
                    "start_s": start,
                    "scores": dict(zip(self.labels, map(float, scores), strict=True)),
                }
                for start, scores in zip(
                    self.window_starts_s, self.window_scores[self.head], strict=True
                )
            ]
        return entry

    def __repr__(self) -> str:
        """Returns one line with the record and the labels found."""
        scores = self.scores
        found = ", ".join(f"{label} {scores[label]:.2f}" for label in self.found)
        return f"<Prediction {self.name}: {found or 'nothing found'}>"

    def __str__(self) -> str:
        """Returns all scores as a table."""
        return table(self, len(self.labels))


# The file of each record, and its prediction or the error that prevents it.
Results = Sequence[tuple[Path, Prediction | ValueError]]


def table(prediction: Prediction, top: int) -> str:
    """Returns the found labels and the `top` highest scores as a table."""
    scores = prediction.scores
    ranked = sorted(prediction.labels, key=lambda label: -scores[label])
    shown = sorted({*prediction.found, *ranked[:top]}, key=ranked.index)
    plain = dict(zip(prediction.labels, prediction.descriptions, strict=True))
    width = max(map(len, shown))
    lines = [heading(prediction), f"  {'':<{width}}  score  threshold"]
    for label in shown:
        mark = "found" if label in prediction.found else ""
        lines.append(
            f"  {label:<{width}}  {scores[label]:.3f}  "
            f"{prediction.thresholds[label]:<9.3f}  {mark:<5}  {plain[label]}".rstrip()
        )
    return "\n".join([*lines, *(f"  note: {note}" for note in prediction.notes)])


def heading(prediction: Prediction) -> str:
    """Returns a line with the record, its duration and its number of windows."""
    count = len(prediction.window_starts_s)
    windows = f", {prediction.aggregate} of {count} windows" if count > 1 else ""
    return f"{prediction.name}: {prediction.duration_s:.4g} s{windows}"


def first_only(aggregate: str) -> bool:
    """Returns whether an aggregate uses the first window of a recording only.

    Raises:
        ValueError: if it is not one of `AGGREGATES`.
    """
    check_choice("aggregate", aggregate, tuple(AGGREGATES))
    return aggregate == "first"


def check_choice(what: str, value: str, known: Sequence[str]) -> None:
    """Raises ValueError for a value that is not known; lists those that are."""
    if value not in known:
        raise ValueError(f"{what}: expected one of {', '.join(known)}, got {value!r}")


def check_threshold(threshold: float | None) -> None:
    """Raises ValueError for a threshold that is not from 0 to 1; None is accepted."""
    if threshold is not None and not 0 <= threshold <= 1:  # NaN neither
        raise ValueError(f"threshold: expected a number from 0 to 1, got {threshold:g}")


def lines(results: Results, top: int, windows: bool) -> Iterator[str]:
    """Yields lines for the terminal: tables for few records, or else a row for each.

    Args:
        results: result of each record; those without a prediction are listed last.
        top: number of scores shown beside the found labels.
        windows: whether to show what was found in each window, for few records.
    """
    done = [r for _, r in results if isinstance(r, Prediction)]
    if len(done) <= FEW:
        for one in done:
            yield table(one, top)
            yield from _window_lines(one) if windows else ()
    else:
        yield from _summary(done)
    failed = [(path, r) for path, r in results if isinstance(r, ValueError)]
    if failed:
        yield f"not scored: {len(failed):,} of {len(results):,}"
        yield from (f"  {path}: {reason}" for path, reason in failed)


def _summary(done: Sequence[Prediction]) -> Iterator[str]:
    counts = Counter(label for one in done for label in one.found)
    nothing = sum(not one.found for one in done)
    listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
    width = min(NAME_WIDTH, max(len(one.name) for one in done))
    yield f"{'record':<{width}}  {'length':>8}  found"
    for one in done[:MOST_ROWS]:
        yield f"{one.name:<{width}}  {one.duration_s:>6.1f} s  {_findings(one)}"
        yield from (f"{'':<{width}}  note: {note}" for note in one.notes)
    if len(done) > MOST_ROWS:
        yield f"and {len(done) - MOST_ROWS:,} more; use --out FILE.csv to get them all"
    yield f"found in: {listed or 'none'}; nothing in {nothing:,} of {len(done):,}"


def _findings(one: Prediction) -> str:
    scores = one.scores
    found = ", ".join(f"{label} {scores[label]:.3f}" for label in one.found)
    best = max(scores, key=lambda label: scores[label])
    return found or f"nothing; highest {best} {scores[best]:.3f}"


def _window_lines(one: Prediction) -> Iterator[str]:
    for start, scores in zip(
        one.window_starts_s, one.window_scores[one.head], strict=True
    ):
        of_label = dict(zip(one.labels, scores, strict=True))
        found = [n for n in one.labels if of_label[n] >= one.thresholds[n]]
        listed = ", ".join(f"{label} {of_label[label]:.3f}" for label in found)
        yield f"  from {start:g} s: {listed or 'nothing'}"
