"""Resamples of a split's records, or why there are none."""

from collections.abc import Sequence

import numpy as np

from mrm_jax import intervals


def draw(
    labels: np.ndarray, label_names: Sequence[str], resamples: int, seed: int
) -> tuple[np.ndarray | None, str | None]:
    """Returns how often each resample holds each record, or None and why there is none.

    Args:
        labels: [record, label], 0 or 1.
        label_names: [label].
        resamples: how many.
        seed: of them.

    Returns:
        [resample, record], and None; or None, and a sentence.
    """
    if len(labels) == 1:
        return None, "a single record cannot be resampled"
    try:
        return intervals.draw(labels, resamples, np.random.default_rng(seed)), None
    except intervals.TooRareError as error:
        positive = int(labels[:, error.label].sum())
        return None, (
            "hardly any resample of the records has both classes of every label; most "
            f"often {label_names[error.label]} lacks one, which {positive} of "
            f"{len(labels)} records have"
        )
