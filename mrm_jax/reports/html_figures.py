"""The figures of the page, as SVG elements with what is said beside them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import markupsafe
import numpy as np
from matplotlib.figure import Figure

from mrm_jax.metrics import classification
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.plotting import (
    ecg_layout,
    ecg_paper,
    label_figures,
    score_figures,
    style,
    training_curves,
)
from mrm_jax.reports import heads as heads_lib

SMALLEST_TEXT = 8.25  # points, which are 11 CSS pixels
# What a screen needs not of the page's margins, in points: at the sides, and above.
MARGINS = (
    ecg_layout.points(ecg_layout.PAPER_LEFT_MM - 0.5),
    ecg_layout.points(ecg_layout.MARGIN_MM - 2),
)


NUM_EXTREMES = 4  # best and worst labels whose curves stand for those of many
NUM_PAIRS = 10
NUM_ERRORS = 10
BARS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "f1_at_threshold": "F1 at the threshold from validation",
}
SCREEN = 96 / 72  # CSS pixels of a point: what is drawn to scale stays so

Rows = Sequence[Mapping[str, Any]]  # report.json's "labels"
ReadSignals = Callable[[np.ndarray], np.ndarray]


class Pair(NamedTuple):
    """How often records of one label that lack another are said to have it."""

    label: str
    other: str
    records: int  # that have the label and lack the other
    called: int  # of these, said to have the other


class Wrong(NamedTuple):
    """One of the most confident errors."""

    name: str  # of the record
    labels: list[str]  # that it has
    label: str  # that was missed, or found
    missed: bool
    score: float
    picture: markupsafe.Markup


def by_auc(rows: Rows, shown: str) -> list[int]:
    """Returns the places of the labels, from the shown head's best AUC to no AUC."""
    aucs = [row["heads"][shown]["auc"] for row in rows]
    return sorted(range(len(rows)), key=lambda i: (aucs[i] is None, -(aucs[i] or 0)))


def bars(rows: Rows, shown: str) -> list[markupsafe.Markup]:
    """Returns a panel of bars for each metric of BARS, the best label's AUC first."""
    ordered = [rows[i] for i in by_auc(rows, shown)]
    return [
        style.markup(
            label_figures.bars(ordered, metric, title, shown),
            f"bars-{metric}",
            f"{title} of each label with its interval; the table below has the numbers",
        )
        for metric, title in BARS.items()
    ]


def score_curves(rows: Rows, split: SplitScores, shown: str) -> list[markupsafe.Markup]:
    """Returns ROC and precision-recall curves: of all labels, then of single ones.

    Of more than FEW_LABELS these are the NUM_EXTREMES best and worst by AUC.
    """
    usable = classification.has_both_classes(split.labels)
    chosen = [i for i in by_auc(rows, shown) if usable[i]]
    if not chosen:
        return []
    if len(chosen) > label_figures.FEW_LABELS:
        chosen = chosen[:NUM_EXTREMES] + chosen[-NUM_EXTREMES:]
    drawn = {"all labels": score_figures.all_labels(split.heads[shown], split.labels)}
    for i in chosen:
        heads = {head: scores[:, i] for head, scores in split.heads.items()}
        one = score_figures.one_label(heads, split.labels[:, i], rows[i], shown)
        drawn[rows[i]["label"]] = one
    return [
        style.markup(figure, f"curves-{i}", f"ROC and precision-recall curves: {name}")
        for i, (name, figure) in enumerate(drawn.items())
    ]


def reliability(calibration: Mapping[str, Any]) -> list[markupsafe.Markup]:
    """Returns the reliability of each head in report.json's "calibration"."""
    return [
        style.markup(
            score_figures.reliability(calibration[head], head),
            f"reliability-{head}",
            f"share of cells with the label against the score, {head}",
        )
        for head in style.HEADS
        if head in calibration
    ]


def together(
    rows: Rows, split: SplitScores, fallback: float, shown: str
) -> list[markupsafe.Markup]:
    """Returns which labels are called together, and which are so in truth."""
    names = [row["label"] for row in rows]
    found = label_figures.called_together(
        split.labels, predicted(rows, split, fallback, shown)
    )
    truth = label_figures.called_together(split.labels, split.labels)
    return [
        style.markup(
            label_figures.matrix(names, found, "found by the model", "label found"),
            "together-found",
            "for each label, the share of its records in which each label was found",
        ),
        style.markup(
            label_figures.matrix(names, truth, "in truth", "other label of the record"),
            "together-truth",
            "for each label, the share of its records that have each other label",
        ),
    ]


def predicted(
    rows: Rows, split: SplitScores, fallback: float, shown: str
) -> np.ndarray:
    """Returns which labels the shown head finds, [record, label]."""
    of_labels = [row["heads"][shown]["threshold"] for row in rows]
    chosen = np.array([fallback if t is None else t for t in of_labels])
    return split.heads[shown] >= chosen


def pairs(rows: Rows, split: SplitScores, fallback: float, shown: str) -> list[Pair]:
    """Returns the NUM_PAIRS most frequent false findings beside a label, if any."""
    truth = split.labels.astype(int)
    has_and_lacks = truth.T @ (1 - truth)
    called = truth.T @ ((1 - truth) * predicted(rows, split, fallback, shown))
    order = np.argsort(-called, axis=None, kind="stable")[:NUM_PAIRS]
    return [
        Pair(
            rows[i]["label"],
            rows[j]["label"],
            int(has_and_lacks[i, j]),
            int(called[i, j]),
        )
        for i, j in zip(*np.unravel_index(order, called.shape), strict=True)
        if called[i, j]
    ]


def training(
    history: Sequence[Mapping[str, Any]], best_epoch: int
) -> list[markupsafe.Markup]:
    """Returns the training's curves; none without a history."""
    names = ("training loss and its terms", "validation macro AUC")
    return [
        style.markup(figure, f"training-{i}", f"{name} against epoch")
        for i, (name, figure) in enumerate(
            zip(names, training_curves.figures(history, best_epoch), strict=False)
        )
    ]


def wrong(
    facts: Mapping[str, Any],
    rows: Rows,
    split: SplitScores,
    read_signal_mv: ReadSignals,
) -> list[Wrong]:
    """Returns the NUM_ERRORS most confident errors of the shown head, with ECGs."""
    scores = split.heads[heads_lib.primary(facts)]
    found = most_confident(scores, split.labels, NUM_ERRORS)
    data = facts.get("evaluated_on") or facts
    signals = read_signal_mv(np.array([each.record for each in found], np.int64))
    result = []
    for number, (each, signal_mv) in enumerate(zip(found, signals, strict=True)):
        name = str(split.names[each.record])
        drawn = picture(signal_mv, data["sampling_rate"], data["leads"], name)
        shown = style.markup(
            drawn, f"ecg-{number}", f"12-lead ECG of {name}", SCREEN, MARGINS
        )
        there = np.flatnonzero(split.labels[each.record]).tolist()
        result.append(
            Wrong(
                name=name,
                labels=[rows[i]["label"] for i in there],
                label=rows[each.label]["label"],
                missed=each.missed,
                score=each.score,
                picture=shown,
            )
        )
    return result


@dataclasses.dataclass(frozen=True)
class Error:
    """A label that a model finds or misses against the truth."""

    record: int  # its place in the split
    label: int  # its place in the label set
    score: float  # from 0 to 1, on the wrong side of one half
    missed: bool  # the record has the label; otherwise it was found without being there


def most_confident(scores: np.ndarray, labels: np.ndarray, count: int) -> list[Error]:
    """Returns the largest errors of as many records, the largest first.

    Args:
        scores: [record, label], from 0 to 1.
        labels: [record, label], 0 or 1.
        count: at most; fewer if fewer records have a score on the wrong side of 0.5.
    """
    distance = np.abs(scores - labels)
    worst = distance.argmax(axis=1)
    size = distance[np.arange(len(scores)), worst]
    records = np.argsort(-size, kind="stable")[:count]
    return [
        Error(record, label, float(scores[record, label]), bool(labels[record, label]))
        for record, label in zip(records.tolist(), worst[records].tolist(), strict=True)
        if size[record] > 0.5
    ]


def picture(
    signal_mv: np.ndarray, sampling_rate: float, leads: Sequence[str], name: str
) -> Figure:
    """Returns the ECG [time, lead] of a record on ECG paper, to be read on a screen."""
    page = ecg_paper.draw(signal_mv, sampling_rate, leads, name)
    for text in page.axes[0].texts:
        text.set_fontsize(max(text.get_fontsize(), SMALLEST_TEXT))
    return page
