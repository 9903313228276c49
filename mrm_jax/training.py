"""One epoch of training: the step mapped over devices, called row by row."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from mrm_jax import (
    input_pipeline,
    parallel,
    steps,
    train_state,
    types,
)
from mrm_jax.models import mrm_net

TrainCall = Callable[..., tuple[train_state.TrainState, steps.Terms]]
Track = Callable[[Iterable[Any], int], Iterable[Any]]


def train_steps(
    state: train_state.TrainState,
    records: input_pipeline.Records,
    rows: jax.Array,
    hparams: types.HParams,
    *,
    model: mrm_net.MRMNet,
) -> tuple[train_state.TrainState, steps.Terms]:
    """Returns the state after a step for each of rows [step, batch], and [step] terms.

    A pure function of one device's share: gathering, conversion and standardisation
    happen here, on the device.
    """

    def body(state, batch_rows):
        """Makes one update."""
        batch = input_pipeline.take(records, batch_rows)
        return steps.train_step(state, batch, hparams, model=model)

    return parallel.loop(body, state, rows)


@functools.lru_cache(maxsize=8)
def mapped(model: mrm_net.MRMNet) -> TrainCall:
    """Returns `train_steps` mapped over the devices; the state's memory is reused."""
    call = functools.partial(train_steps, model=model)
    return parallel.map_devices(call, donate_argnums=(0,))


def train_epoch(
    call: TrainCall,
    state: train_state.TrainState,
    feed: input_pipeline.Feed,
    rows: np.ndarray,
    hparams: types.HParams,
    track: Track,
) -> tuple[train_state.TrainState, dict[str, float]]:
    """Trains on rows [step, batch] of feed.

    Args:
        call: from `mapped`.
        state: replicated; consumed.
        feed: the training split.
        rows: record numbers or padding.
        hparams: replicated.
        track: wraps the calls and shows their progress, given how many there are.

    Returns:
        The state, and means over the epoch's records of the loss and its terms, with
        "records_per_second".

    Raises:
        FloatingPointError: if the loss, a term or the norm of the gradient is NaN or
            infinite; names the step and the terms.
    """
    start = time.perf_counter()
    first_step = int(parallel.take_first(state.step))
    parts: list[dict[str, np.ndarray]] = []
    pending: steps.Terms = {}
    for records, shares in track(feed.calls(rows), feed.num_calls(rows)):
        state, terms = call(state, records, shares, hparams)
        # One call behind, so that the host prepares the next while this one runs.
        if pending:
            parts.append(_read_finite(pending, first_step, parts))
        pending = terms
    parts.append(_read_finite(pending, first_step, parts))
    means = epoch_means(parts, np.sum(rows >= 0, axis=1))
    trained = int(np.sum(rows >= 0))
    means["records_per_second"] = trained / (time.perf_counter() - start)
    return state, means


def _read_finite(
    terms: steps.Terms, first_step: int, parts: list[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Returns the terms [step] on the host; raises if one is not finite."""
    values: dict[str, Any] = parallel.take_first(terms)
    finite = np.all([np.isfinite(value) for value in values.values()], axis=0)
    bad = np.flatnonzero(~finite)
    if len(bad):
        step = first_step + sum(len(part["loss"]) for part in parts) + int(bad[0])
        shown = ", ".join(f"{name} {value[bad[0]]:g}" for name, value in values.items())
        raise FloatingPointError(
            f"step {step}: loss or gradient is not finite: {shown}"
        )
    return values


def epoch_means(
    parts: Sequence[Mapping[str, Any]], records_per_step: np.ndarray
) -> dict[str, float]:
    """Returns each term's mean over an epoch's records.

    Args:
        parts: name -> [step], call by call.
        records_per_step: [step of the epoch], without padding.
    """
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    share = records_per_step / records_per_step.sum()
    return {name: float(values @ share) for name, values in joined.items()}
