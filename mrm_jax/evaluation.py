"""Scores of a split: the scoring step mapped over devices, every record once."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from mrm_jax import input_pipeline, parallel, steps, train_state, types
from mrm_jax.models import mrm_net

Track = Callable[[Iterable[Any], int], Iterable[Any]]
PredictCall = Callable[..., tuple[jax.Array, jax.Array]]


def predict_steps(
    state: train_state.TrainState,
    records: input_pipeline.Records,
    rows: jax.Array,
    *,
    model: mrm_net.MRMNet,
) -> tuple[jax.Array, jax.Array]:
    """Returns the scores [step, batch, label] of the high and of the low branch."""

    def body(carry, batch_rows):
        """Scores one batch; there is nothing to carry."""
        batch = input_pipeline.take(records, batch_rows)
        return carry, steps.predict_step(state, batch, model=model)

    return parallel.loop(body, None, rows)[1]


@functools.lru_cache(maxsize=8)
def mapped(model: mrm_net.MRMNet) -> PredictCall:
    """Returns `predict_steps` mapped over the devices."""
    return parallel.map_devices(functools.partial(predict_steps, model=model))


def predict(
    model: mrm_net.MRMNet,
    state: train_state.TrainState,
    feed: input_pipeline.Feed,
    batch_size: int,
    track: Track = lambda calls, total: calls,
) -> types.SplitScores:
    """Returns the scores of every record of feed, in the order of its split.

    Args:
        model: its scoring is compiled once.
        state: replicated.
        feed: the records.
        batch_size: records scored at once, over all devices.
        track: wraps the calls and shows their progress, given how many there are.
    """
    rows = input_pipeline.ordered_rows(len(feed), batch_size)
    parts = [
        [parallel.join_rows(part, batch_size) for part in mapped(model)(state, *call)]
        for call in track(feed.calls(rows), feed.num_calls(rows))
    ]
    return split_scores(feed, *zip(*parts, strict=True))


def split_scores(
    feed: input_pipeline.Feed, high: Sequence[np.ndarray], low: Sequence[np.ndarray]
) -> types.SplitScores:
    """Returns the scores of feed, in the order of its split.

    Args:
        feed: what was scored.
        high: [step, batch, label], call by call, the last batch filled up.
        low: likewise.
    """
    high_scores, low_scores = (
        np.concatenate(parts).reshape(-1, parts[0].shape[-1])[: len(feed)]
        for parts in (high, low)
    )
    split = feed.split
    return types.SplitScores(
        names=split.names,
        labels=split.labels,
        high=high_scores,
        low=low_scores,
        first_label=split.first_label,
    )
