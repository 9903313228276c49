"""The figures of report.html, as SVG elements with descriptions for screen readers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import markupsafe
import numpy as np
from matplotlib.figure import Figure

from mrm_jax.metrics import classification, errors, names
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

NUM_EXTREMES = 4  # best and worst labels whose curves stand for those of many
NUM_PAIRS = 10
NUM_ERRORS = 10
BARS = ("auc", "average_precision", "f1_at_threshold")
SMALLEST_TEXT = 8.25  # points, which are 11 CSS pixels
# The part of an ECG page's margins that a screen does not need, in points: at the
# sides, and above and below.
MARGINS = (
    ecg_layout.points(ecg_layout.PAPER_LEFT_MM - 0.5),
    ecg_layout.points(ecg_layout.MARGIN_MM - 2),
)
SCREEN = 96 / 72  # CSS pixels of a point: an ECG keeps its scale on the screen

Rows = Sequence[Mapping[str, Any]]  # "labels" of report.json
ReadSignals = Callable[[np.ndarray], np.ndarray]


class ConfidentError(NamedTuple):
    """One of the most confident errors, with the ECG."""

    name: str  # of the record
    labels: list[str]  # all labels of the record
    label: str  # the label that was predicted wrongly
    missed: bool  # a false negative; otherwise a false positive
    score: float
    picture: markupsafe.Markup


def by_auc(rows: Rows, primary: str) -> list[int]:
    """Returns the rows of the labels, from the primary head's best AUC to no AUC."""
    aucs = [row["heads"][primary]["auc"] for row in rows]
    return sorted(range(len(rows)), key=lambda i: (aucs[i] is None, -(aucs[i] or 0)))


def bars(rows: Rows, primary: str) -> list[markupsafe.Markup]:
    """Returns a panel of bars for each metric of BARS, the label of best AUC first."""
    ordered = [rows[i] for i in by_auc(rows, primary)]
    return [
        style.markup(
            label_figures.bars(ordered, metric, names.LABEL[metric], primary),
            f"bars-{metric}",
            f"{names.LABEL[metric]} of each label with its interval; "
            "see the table for the numbers",
        )
        for metric in BARS
    ]


def score_curves(
    rows: Rows, split: SplitScores, primary: str
) -> list[markupsafe.Markup]:
    """Returns ROC and precision-recall curves of all labels, then of single labels.

    Of more than FEW_LABELS labels, only the NUM_EXTREMES best and worst by AUC have
    curves of their own.
    """
    usable = classification.has_both_classes(split.labels)
    chosen = [i for i in by_auc(rows, primary) if usable[i]]
    if not chosen:
        return []
    if len(chosen) > label_figures.FEW_LABELS:
        chosen = chosen[:NUM_EXTREMES] + chosen[-NUM_EXTREMES:]
    drawn = {"all labels": score_figures.all_labels(split.heads[primary], split.labels)}
    for i in chosen:
        heads = {head: scores[:, i] for head, scores in split.heads.items()}
        one = score_figures.one_label(heads, split.labels[:, i], rows[i], primary)
        drawn[rows[i]["label"]] = one
    return [
        style.markup(figure, f"curves-{i}", f"ROC and precision-recall curves: {name}")
        for i, (name, figure) in enumerate(drawn.items())
    ]


def reliability(calibration: Mapping[str, Any]) -> list[markupsafe.Markup]:
    """Returns a reliability diagram of each head in report.json's "calibration"."""
    return [
        style.markup(
            score_figures.reliability(calibration[head], head),
            f"reliability-{head}",
            f"reliability diagram, {head}: observed frequency against mean score",
        )
        for head in style.HEAD_STYLES
        if head in calibration
    ]


def co_occurrence(
    rows: Rows, split: SplitScores, fallback: float, primary: str
) -> list[markupsafe.Markup]:
    """Returns the co-occurrence of labels as predicted, and that of the true labels."""
    titles = [row["label"] for row in rows]
    found = predicted(rows, split, fallback, primary)
    drawn = []
    for kind, across, other in (
        ("predicted", "predicted label", found),
        ("true", "other true label", split.labels),
    ):
        shares = errors.co_occurrence(split.labels, other)
        title = f"label co-occurrence, {kind}"
        figure = label_figures.matrix(titles, shares, title, across)
        description = (
            f"{title}: for each label, the share of its records with each {across}"
        )
        drawn.append(
            style.markup(figure, f"co-occurrence-{kind}", description, themed=False)
        )
    return drawn


def predicted(
    rows: Rows, split: SplitScores, fallback: float, primary: str
) -> np.ndarray:
    """Returns which labels the primary head predicts, [record, label]."""
    of_labels = [row["heads"][primary]["threshold"] for row in rows]
    chosen = np.array([fallback if t is None else t for t in of_labels])
    return split.heads[primary] >= chosen


def false_positive_pairs(
    rows: Rows, split: SplitScores, fallback: float, primary: str
) -> list[tuple[str, str, int, int]]:
    """Returns the NUM_PAIRS pairs of labels with the most false positives.

    Returns:
        [pair], the label that records have, the label that they lack, the number of
        such records, and the number of these with a false positive.
    """
    found = predicted(rows, split, fallback, primary)
    return [
        (rows[i]["label"], rows[j]["label"], num_records, num_predicted)
        for i, j, num_records, num_predicted in errors.false_positive_pairs(
            split.labels, found, NUM_PAIRS
        )
    ]


def training(
    history: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]
) -> list[markupsafe.Markup]:
    """Returns the training curves of a run; none without a history."""
    drawn = training_curves.figures(
        history, facts["epoch"], heads_lib.loss_weights(facts)
    )
    return [
        style.markup(figure, f"training-{i}", f"{title} against epoch")
        for i, (title, figure) in enumerate(drawn.items())
    ]


def confident_errors(
    facts: Mapping[str, Any],
    rows: Rows,
    split: SplitScores,
    read_signal_mv: ReadSignals,
) -> list[ConfidentError]:
    """Returns the NUM_ERRORS most confident errors of the primary head, with ECGs."""
    scores = split.heads[heads_lib.primary(facts)]
    found = errors.most_confident(scores, split.labels, NUM_ERRORS)
    data = facts.get("evaluated_on") or facts
    signals = read_signal_mv(np.array([each.record for each in found], np.int64))
    result = []
    for number, (each, signal_mv) in enumerate(zip(found, signals, strict=True)):
        name = str(split.names[each.record])
        drawn = picture(signal_mv, data["sampling_rate"], data["leads"], name)
        description = f"12-lead ECG of {name}"
        element = style.markup(
            drawn, f"ecg-{number}", description, SCREEN, MARGINS, themed=False
        )
        there = np.flatnonzero(split.labels[each.record]).tolist()
        result.append(
            ConfidentError(
                name=name,
                labels=[rows[i]["label"] for i in there],
                label=rows[each.label]["label"],
                missed=each.missed,
                score=each.score,
                picture=element,
            )
        )
    return result


def picture(
    signal_mv: np.ndarray, sampling_rate: float, leads: Sequence[str], name: str
) -> Figure:
    """Returns an ECG [time, lead] on ECG paper, with text large enough for a screen."""
    page = ecg_paper.draw(signal_mv, sampling_rate, leads, name)
    for text in page.axes[0].texts:
        text.set_fontsize(max(text.get_fontsize(), SMALLEST_TEXT))
    return page
