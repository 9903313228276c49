"""Pictures of predictions: ECGs on ECG paper with what was found, and why."""

import collections
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mrm_jax.data import leads, windows
from mrm_jax.inference import explanation, prediction
from mrm_jax.plotting import ecg_overlay, ecg_paper
from mrm_jax.runs import trained_run

# Of a record in a file's name: 255 bytes are allowed, other scripts take three for one.
MOST_LETTERS = 60
FOUND = "found"  # in place of a label: all that are found in a record


def draw(
    cut: windows.Windows,
    result: prediction.Prediction,
    explained: explanation.Explanation | None = None,
) -> Figure:
    """Returns a page with one window of a recording and what was found.

    The window is drawn as it was recorded, at its own rate. One that was stretched for
    the network keeps its own time too, so that the page stays true to scale; an
    explanation is shrunk back to it.

    Args:
        cut: the recording.
        result: its scores.
        explained: laid over the window that it is of; without, that with the highest
            score of a finding is drawn, or the first.

    Raises:
        ValueError: if an explained window is longer than a page is wide.
    """
    window = result.window_of(result.found) if explained is None else explained.window
    overlay = None if explained is None else _overlay(explained)
    lines = _title(result) if explained is None else _why(result, explained)
    return ecg_paper.draw(
        _window_mv(cut, result, window),
        cut.recording.sampling_rate,
        leads.LEADS,
        "\n".join([*lines, *_facts(result, window)]),
        overlay=overlay,
    )


def _window_mv(
    cut: windows.Windows, result: prediction.Prediction, window: int
) -> np.ndarray:
    """Returns the samples [time, lead] that a window is made of, all twelve leads."""
    rate = cut.recording.sampling_rate
    start = round(cut.start_s[window] * rate)
    samples = slice(start, start + round(result.window_s * rate))
    signal_mv, _ = leads.complete(cut.recording.signal_mv[samples], cut.recording.leads)
    return signal_mv


def _overlay(explained: explanation.Explanation) -> ecg_overlay.Overlay:
    gates = {
        f"time gate, {branch} resolution: weighs moments in one of two copies of the "
        "features; the other copy has every moment": gate
        for branch, gate in explained.gates.items()
    }
    return ecg_overlay.Overlay(explained.label, explained.attribution.values, gates)


def _title(result: prediction.Prediction) -> Iterator[str]:
    scores = result.scores
    count = len(result.window_starts_s)
    over = f", {result.aggregate} of {count} windows" if count > 1 else ""
    yield result.name
    if result.found:
        listed = ", ".join(f"{label} {scores[label]:.2f}" for label in result.found)
        yield f"found{over}: {listed}"
    else:
        best = max(scores, key=lambda label: scores[label])
        yield f"nothing found{over}; highest {best} {scores[best]:.2f}"


def _why(
    result: prediction.Prediction, explained: explanation.Explanation
) -> Iterator[str]:
    label, parts = explained.label, explained.attribution
    score = result.window_scores[result.head][explained.window]
    threshold = result.thresholds[label]
    place = result.labels.index(label)
    yield f"{result.name}: what speaks for and against {label}"
    yield (
        f"{label} is {result.descriptions[place]}: score {score[place]:.2f} here, a "
        f"finding from {threshold:.2f} on"
    )
    yield (
        f"logit of the {explained.head} head {parts.logit:+.2f}, without any voltage "
        f"{parts.baseline_logit:+.2f}; what is shaded sums to "
        f"{parts.values.sum():+.2f}, {explained.gap:.1%} off"
    )


def _facts(result: prediction.Prediction, window: int) -> Iterator[str]:
    """Yields which part of the recording is drawn, and what was done to it."""
    count, start = len(result.window_starts_s), result.window_starts_s[window]
    if count > 1:
        yield (
            f"drawn: window {window + 1} of {count}, from {start:g} s to "
            f"{start + result.window_s:g} s of {result.duration_s:.4g} s"
        )
    elif result.duration_s > result.window_s:
        whole_s = f"{result.duration_s:.4g} s"
        yield f"drawn and scored: the first {result.window_s:g} s of {whole_s}"
    elif result.duration_s < result.window_s:
        yield f"drawn: as recorded, where the network saw {result.window_s:g} s"
    yield from (f"note: {note}" for note in result.notes)


class PlotWriter:
    """Pictures of many records in one folder: of each, and of each explanation."""

    def __init__(
        self,
        folder: Path,
        suffix: str,
        paths: Sequence[Path],
        run: trained_run.TrainedRun,
        explained: Collection[str] = (),
    ):
        """Makes the folder, and a name for the picture of each record.

        Args:
            folder: made where it is not there.
            suffix: one of ecg_paper.SUFFIXES.
            paths: of all records.
            run: that explains.
            explained: labels that are explained in every record; `FOUND` stands for
                those that are found in it.

        Raises:
            ValueError: if a label is none of the run's.
        """
        for label in explained:
            if label != FOUND:
                explanation.check_label(label, run.labels)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._suffix = suffix
        self._names = dict(zip(paths, file_names(paths), strict=True))
        self._run = run
        self._explained = explained

    def add(
        self, path: Path, cut: windows.Windows, result: prediction.Prediction
    ) -> list[str]:
        """Writes the pictures of a record; returns which explanations are far off."""
        name = self._names[path]
        self._save(draw(cut, result), name)
        warnings = []
        for label in self._labels(result):
            one = explanation.explain(self._run, cut, result, label)
            self._save(draw(cut, result, one), f"{name}--{_fit(label)}")
            if one.gap > explanation.LARGE_GAP:
                warnings.append(
                    f"{result.name}: the explanation of {label} sums to "
                    f"{one.attribution.values.sum():+.2f}, {one.gap:.0%} off the "
                    f"logit's change of {one.change:+.2f}"
                )
        return warnings

    def _labels(self, result: prediction.Prediction) -> Iterable[str]:
        """Returns the labels that are explained in a record, each once."""
        found = result.found if FOUND in self._explained else ()
        return dict.fromkeys([*(x for x in self._explained if x != FOUND), *found])

    def _save(self, figure: Figure, name: str) -> None:
        ecg_paper.save(figure, self._folder / f"{name}{self._suffix}")


def file_names(paths: Sequence[Path]) -> list[str]:
    """Returns a name for each record's picture, without an ending.

    That of the record; where several have the same, after those of the folders that
    they are in, and where that does not help, numbered. No two names differ in capitals
    alone, as some file systems would take them for one. None has "--" in it.
    """
    stems = collections.Counter(_fit(path.stem).lower() for path in paths)
    root = os.path.commonpath([path.absolute().parent for path in paths])
    names: dict[str, str] = {}  # in small letters -> as it is
    for path in paths:
        name = _fit(path.stem)
        if stems[name.lower()] > 1:
            folders = path.absolute().parent.relative_to(root).parts
            name = _fit("-".join((*folders, path.stem)))
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        free = itertools.chain([name], numbered)
        name = next(each for each in free if each.lower() not in names)
        names[name.lower()] = name
    return list(names.values())


def _fit(text: str) -> str:
    """Returns the end of a text with nothing in it that is special in a file's name."""
    return re.sub(r"[^\w.]+", "-", text)[-MOST_LETTERS:].strip("-.") or "record"
