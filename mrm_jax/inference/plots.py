"""Plots predictions: ECGs on ECG paper with the labels found and explanations."""

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

# Longest part of a record's or label's name in a file's name. Both and the mark of a
# temporary file fit in 255 bytes; letters of some scripts take three.
MOST_LETTERS, MOST_BYTES = 60, 96
FOUND = "found"  # stands for all labels found in a record


def draw(
    cut: windows.Windows,
    result: prediction.Prediction,
    explained: explanation.Explanation | None = None,
    window: int | None = None,
) -> Figure:
    """Draws one window of a recording with the labels found.

    The window is drawn as it was recorded, at its own rate. The page is to scale, so a
    window that was stretched for the network keeps its recorded duration, and its
    explanation is compressed to it.

    Args:
        cut: windows of the recording.
        result: scores of the recording.
        explained: explanation to draw over its window.
        window: number of the window, if nothing is explained; None:
            `explanation.shown_window`.

    Raises:
        ValueError: if there is no such window, or an explained window does not fit on
            a page.
    """
    if explained is not None:
        window, overlay = explained.window, _overlay(explained)
        lines = _why(result, explained)
    else:
        window = explanation.shown_window(result) if window is None else window
        overlay, lines = None, _title(result)
    explanation.check_window(window, cut)
    return ecg_paper.draw(
        _window_mv(cut, result, window),
        cut.recording.sampling_rate,
        cut.leads,
        "\n".join([*lines, *_facts(result, window)]),
        overlay=overlay,
    )


def _window_mv(
    cut: windows.Windows, result: prediction.Prediction, window: int
) -> np.ndarray:
    """Returns the recorded samples [time, lead] of a window, in `cut.leads`."""
    rate = cut.recording.sampling_rate
    start = round(cut.start_s[window] * rate)
    samples = slice(start, start + round(result.window_s * rate))
    recorded = cut.recording
    return leads.complete(recorded.signal_mv[samples], recorded.leads, cut.leads)[0]


def _overlay(explained: explanation.Explanation) -> ecg_overlay.Overlay:
    gates = {
        f"time gate, {branch} resolution: weights time steps in one of two copies of "
        "the features; the other copy keeps every time step": gate
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
    index = result.labels.index(label)
    yield f"{result.name}: evidence for and against {label}"
    yield (f"{_verdict(result, explained)} Orange: raises the score; blue: lowers it.")
    if result.descriptions[index] != label:
        yield f"{label}: {result.descriptions[index]}"
    yield (
        f"Logit of the {explained.head} head {parts.logit:+.2f}, without any voltage "
        f"{parts.baseline_logit:+.2f}. The shaded contributions sum to "
        f"{parts.values.sum():+.2f}, an error of {explained.gap:.1%}."
    )


def _verdict(result: prediction.Prediction, explained: explanation.Explanation) -> str:
    """Returns a sentence with a label's score and on which side of its threshold it is.

    The score of the recording decides, which of several windows is their aggregate.
    """
    label, count = explained.label, len(result.window_starts_s)
    score, threshold = result.scores[label], result.thresholds[label]
    digits = 2 if f"{score:.2f}" != f"{threshold:.2f}" else 4
    side = "above" if score > threshold else "below" if score < threshold else "at"
    verdict = f"{score:.{digits}f}, {side} the threshold {threshold:.{digits}f}."
    if count == 1:
        return f"Score {verdict}"
    of_window = result.window_scores[result.head][explained.window]
    here = of_window[result.labels.index(label)]
    combined = f"{result.aggregate} of {count} windows {verdict}"
    return f"Score {here:.2f} in this window; {combined}"


def _facts(result: prediction.Prediction, window: int) -> Iterator[str]:
    """Yields the part of the recording that is drawn, and notes on its conversion."""
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
        yield f"drawn: as recorded; the network's input is {result.window_s:g} s long"
    yield from (f"note: {note}" for note in result.notes)


class PlotWriter:
    """Writes the plots of many records and their explanations to one folder."""

    def __init__(
        self,
        folder: Path,
        suffix: str,
        paths: Sequence[Path],
        run: trained_run.TrainedRun,
        explained: Collection[str] = (),
    ):
        """Creates the folder and chooses the file name of each record.

        Args:
            folder: output folder, created if it does not exist.
            suffix: file format, one of ecg_paper.SUFFIXES.
            paths: paths of all records.
            run: trained run that explains.
            explained: labels to explain in every record; `FOUND` stands for those that
                are found in it.

        Raises:
            ValueError: if the run does not have a label, or the folder is a file.
        """
        if folder.is_file():
            raise ValueError(f"{folder}: this is a file. Name a folder for the plots.")
        for label in explained:
            if label != FOUND:
                explanation.check_label(label, run.labels)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._suffix = suffix
        self._names = dict(zip(paths, file_names(paths), strict=True))
        self._label_names = label_names(run.labels)
        self._run = run
        self._explained = explained

    def add(
        self, path: Path, cut: windows.Windows, result: prediction.Prediction
    ) -> list[str]:
        """Writes the plots of a record; returns warnings of inexact explanations."""
        name = self._names[path]
        window = explanation.shown_window(result)
        self._save(draw(cut, result, window=window), name)
        warnings = []
        for label in self._labels(result):
            one = explanation.explain(self._run, cut, result, label, window)
            self._save(draw(cut, result, one), f"{name}--{self._label_names[label]}")
            if one.gap > explanation.LARGE_GAP:
                warnings.append(
                    f"{result.name}: the explanation of {label} sums to "
                    f"{one.attribution.values.sum():+.2f}, {one.gap:.0%} off the "
                    f"logit's change of {one.change:+.2f}"
                )
        return warnings

    def _labels(self, result: prediction.Prediction) -> Iterable[str]:
        """Returns the labels to explain in a record, each once."""
        found = result.found if FOUND in self._explained else ()
        return dict.fromkeys([*(x for x in self._explained if x != FOUND), *found])

    def _save(self, figure: Figure, name: str) -> None:
        ecg_paper.save(figure, self._folder / f"{name}{self._suffix}")


def file_names(paths: Sequence[Path]) -> list[str]:
    """Returns a file name for the plot of each record, without suffix.

    It is the name of the record. If several records have the same, the names of their
    folders are put before it and, if needed, a number after it. No two names differ
    only in capitals, as some file systems do not distinguish them. No name has "--".
    """
    stems = collections.Counter(_fit(path.stem).lower() for path in paths)
    root = os.path.commonpath([path.absolute().parent for path in paths])
    names: dict[str, str] = {}  # lower-case name -> name
    for path in paths:
        name = _fit(path.stem)
        if stems[name.lower()] > 1:
            folders = path.absolute().parent.relative_to(root).parts
            name = _fit("-".join((*folders, path.stem)))
        name = _unused(name, names)
        names[name.lower()] = name
    return list(names.values())


def label_names(labels: Sequence[str]) -> dict[str, str]:
    """Returns a part of a file name for each label, distinct as in `file_names`.

    Labels may differ only in characters that file names lack, as "ST+" and "ST-" do.
    """
    names: dict[str, str] = {}  # lower-case name -> name
    for label in labels:
        name = _unused(_fit(label), names)
        names[name.lower()] = name
    return dict(zip(labels, names.values(), strict=True))


def _unused(name: str, used: Collection[str]) -> str:
    """Returns a name, with a number if its lower-case form is used already."""
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    free = itertools.chain([name], numbered)
    return next(each for each in free if each.lower() not in used)


def _fit(text: str) -> str:
    """Returns the end of a text without characters that are special in file names."""
    letters = re.sub(r"[^\w.]+", "-", text)[-MOST_LETTERS:].encode()
    return letters[-MOST_BYTES:].decode(errors="ignore").strip("-.") or "record"
