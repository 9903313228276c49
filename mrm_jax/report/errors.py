"""The records on which a model is most surely wrong."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mrm_jax import ecg_layout, ecg_paper

SMALLEST_TEXT = 8.25  # points, which are 11 CSS pixels
# What a screen needs not of the page's margins, in points: at the sides, and above.
MARGINS = (
    ecg_layout.points(ecg_layout.PAPER_LEFT_MM - 0.5),
    ecg_layout.points(ecg_layout.MARGIN_MM - 2),
)


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
