"""What a network says of one ECG, to read, to compute with and to write."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HEADS = ("mean", "high", "low")
# How the scores of several windows become one.
AGGREGATES = {
    "mean": lambda scores: scores.mean(axis=0),
    "max": lambda scores: scores.max(axis=0),
    "first": lambda scores: scores[0],
}
RESEARCH = "Scores are for research; they are no diagnosis, this is no medical device."


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The scores of one ECG; `prediction["AF"]` is one of `scores`."""

    name: str
    source: Path | None  # the file; None: it was in memory
    duration_s: float
    labels: tuple[str, ...]
    descriptions: tuple[str, ...]  # [label]
    head: str  # whose scores count: one of HEADS
    thresholds: Mapping[str, float]  # label -> the score that makes it a finding
    aggregate: str  # one of AGGREGATES
    window_s: float  # length of a window; a shorter ECG is stretched to it
    window_starts_s: tuple[float, ...]  # [window]
    window_scores: Mapping[str, np.ndarray]  # head -> [window, label], 0 to 1
    notes: tuple[str, ...]  # what was done to the signal, and what is odd about it

    def __getitem__(self, label: str) -> float:
        """Returns the score of a label."""
        return self.scores[label]

    @property
    def scores(self) -> dict[str, float]:
        """The score of each label, from 0 to 1."""
        return self.scores_of(self.head)

    @property
    def found(self) -> tuple[str, ...]:
        """The labels whose score reaches their threshold, the highest score first."""
        scores = self.scores
        reached = [
            label for label in self.labels if scores[label] >= self.thresholds[label]
        ]
        return tuple(sorted(reached, key=lambda label: -scores[label]))

    def scores_of(self, head: str) -> dict[str, float]:
        """Returns the score of each label that one of HEADS gives."""
        scores = AGGREGATES[self.aggregate](self.window_scores[head])
        return dict(zip(self.labels, map(float, scores), strict=True))

    def window_of(self, labels: Iterable[str]) -> int:
        """Returns the window in which one of some labels has the highest score.

        The first, where there is no label.
        """
        columns = [self.labels.index(label) for label in labels]
        scores = self.window_scores[self.head][:, columns]
        return int(scores.max(axis=1).argmax()) if columns else 0

    def to_dict(self, windows: bool = False) -> dict[str, Any]:
        """Returns what JSON can hold; with each window's scores where asked."""
        said: dict[str, Any] = {
            "record": self.name,
            "file": None if self.source is None else str(self.source),
            "duration_s": round(self.duration_s, 3),
            "num_windows": len(self.window_starts_s),
            "found": list(self.found),
            "scores": {head: self.scores_of(head) for head in HEADS},
            "notes": list(self.notes),
        }
        if windows:
            said["windows"] = [
                {
                    "start_s": start,
                    "scores": dict(zip(self.labels, map(float, scores), strict=True)),
                }
                for start, scores in zip(
                    self.window_starts_s, self.window_scores[self.head], strict=True
                )
            ]
        return said

    def __repr__(self) -> str:
        """Returns one line: the record and its findings."""
        scores = self.scores
        found = ", ".join(f"{label} {scores[label]:.2f}" for label in self.found)
        return f"<Prediction {self.name}: {found or 'nothing found'}>"

    def __str__(self) -> str:
        """Returns the findings and all scores as a table."""
        return table(self, len(self.labels))


def table(prediction: Prediction, top: int) -> str:
    """Returns the findings, and beside them the highest scores, as lines of text."""
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
    """Returns the record, its length and the windows in it."""
    count = len(prediction.window_starts_s)
    windows = f", {prediction.aggregate} of {count} windows" if count > 1 else ""
    return f"{prediction.name}: {prediction.duration_s:.4g} s{windows}"


def first_only(aggregate: str) -> bool:
    """Returns whether only the first window of a recording counts.

    Raises:
        ValueError: if it is none of `AGGREGATES`.
    """
    check_choice("aggregate", aggregate, tuple(AGGREGATES))
    return aggregate == "first"


def check_choice(what: str, value: str, known: Sequence[str]) -> None:
    """Raises ValueError, naming what is known, for any other value."""
    if value not in known:
        raise ValueError(f"{what}: expected one of {', '.join(known)}, got {value!r}")
