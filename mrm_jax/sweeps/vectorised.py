"""Vectorised runs: many training runs that one device executes together.

The runs on a device share only the records, which are stored there once. Each run has
its own weights, record order and batch statistics, so runs do not communicate, neither
on one device nor between devices.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import numpy as np

from mrm_jax.models import networks
from mrm_jax.runtime import devices
from mrm_jax.training import epoch, input_pipeline, scoring, steps, train_state
from mrm_jax.training.hparams import HParams

BATCHINGS = ("vmap", "map", "loop")
ALIASES = {"unrolled": "loop"}  # alias from earlier versions


@dataclasses.dataclass(frozen=True)
class Program:
    """What runs must have in common to be computed by one compiled program."""

    model: networks.Network  # its axis_name is ignored
    batch_size: int  # records in a batch of each run
    batching: str | None = None  # how the runs on a device are batched
    augment: bool = False  # whether the training records are changed at random
    averaged: bool = False  # whether the runs average their weights
    num_leads: int = 12  # of the signals

    def resolved(self) -> "Program":
        """Returns the program for one device, with a batching of the backend.

        Raises:
            ValueError: if the batching is invalid.
        """
        return dataclasses.replace(
            self,
            model=self.model.clone(axis_name=None),
            batching=resolve_batching(self.batching),
        )


@flax.struct.dataclass
class VectorisedRuns:
    """States and hyperparameters of several runs, stacked on a leading axis."""

    state: train_state.TrainState
    hparams: HParams


def resolve_batching(batching: str | None) -> str:
    """Returns how runs on a device are batched; None selects the backend's default.

    On the CPU, `vmap` takes twice as long as one run after another (docs/sweeps.md),
    since every run has its own convolution kernels. So the default is "loop"
    there and "vmap" on other backends.

    Args:
        batching: one of BATCHINGS, "unrolled" (an alias of "loop") or None.

    Raises:
        ValueError: if the value is unknown or does not suit the backend.
    """
    rolled = devices.supports_scan()
    batching = batching or ("vmap" if rolled else "loop")
    batching = ALIASES.get(batching, batching)
    if batching not in BATCHINGS:
        raise ValueError(f"batching: expected one of {BATCHINGS}, got {batching!r}")
    if batching == "map" and not rolled:
        raise ValueError(
            "batching: 'map' compiles to a loop in which convolutions run about 60 "
            "times slower on the CPU. Use 'loop' instead."
        )
    return batching


def run(
    hparams: HParams,
    rng: jax.Array,
    records: input_pipeline.Records,
    rows: jax.Array,
    *,
    model: networks.Network,
) -> tuple[train_state.TrainState, steps.Terms]:
    """Returns the state after a whole run and the terms of its steps, [step].

    It is a pure function of hyperparameters, randomness and data, so `jax.vmap` can
    train many runs at once. `population.Population` computes the same result, call by
    call.

    Args:
        hparams: hyperparameters of the run.
        rng: raw key, [2] uint32.
        records: the training split.
        rows: [step, batch], record numbers or padding, of all epochs.
        model: network with axis_name None.
    """
    state = train_state.create(rng, model, records.num_leads)
    return epoch.train_steps(state, records, rows, hparams, model=model)


def empty(program: Program, num_runs: int) -> VectorisedRuns:
    """Returns placeholder runs, on the host, whose arrays are zero but trainable.

    They must be finite: some backends compute the convolutions of all runs as one,
    with zeros between them, and zero times NaN is NaN.
    """
    one = VectorisedRuns(
        jax.tree.map(
            lambda x: np.zeros(x.shape, x.dtype),
            train_state.shapes(program.model, program.averaged, program.num_leads),
        ),
        HParams(),
    )
    return jax.tree.map(lambda x: np.stack([x] * num_runs), one)


def _over_runs(
    function: Callable[..., Any], batching: str | None
) -> Callable[..., Any]:
    """Returns the function mapped over the leading axis of arguments and results."""
    if batching == "vmap":
        return jax.vmap(function)
    if batching == "map":
        return lambda *values: jax.lax.map(lambda one: function(*one), values)

    def alone(*values: Any) -> Any:
        """Handles an axis of length 1."""
        result = function(*jax.tree.map(lambda x: x[0], values))
        return jax.tree.map(lambda x: x[None], result)

    return alone


def train_call(program: Program) -> Callable[..., Any]:
    """Returns `epoch.train_steps` of all runs on one device.

    The returned function takes runs, records and rows [run, step, batch]. It returns
    the runs and their terms [run, step].

    Args:
        program: a resolved program.
    """
    step = functools.partial(
        epoch.train_steps, model=program.model, augment=program.augment
    )

    def call(runs, records, rows):
        """Trains the runs of one device on rows [run, step, batch]."""

        def one(run, rows):
            """Trains one run."""
            return step(run.state, records, rows, run.hparams)

        state, terms = _over_runs(one, program.batching)(runs, rows)
        return runs.replace(state=state), terms

    return call


@functools.lru_cache(maxsize=8)
def train_mapped(program: Program) -> Any:
    """Returns `train_call` mapped over the devices; it reuses the memory of the runs.

    Args:
        program: a resolved program.
    """
    identity = "train", program
    return devices.map_and_keep(train_call(program), identity, donate_argnums=(0,))


@functools.lru_cache(maxsize=8)
def predict_mapped(program: Program) -> Callable[..., Any]:
    """Returns `scoring.predict_steps` of all runs, mapped over the devices.

    The returned function takes the runs' states, records and rows [step, batch], which
    are the same for all. It returns the scores [run, step, batch, label] of both
    branches.

    Args:
        program: a resolved program.
    """
    score = functools.partial(scoring.predict_steps, model=program.model)

    def call(states, records, rows):
        """Scores rows [step, batch] with all runs of one device."""

        def one(state):
            """Scores with one run."""
            return score(state, records, rows)

        return _over_runs(one, program.batching)(states)

    return devices.map_and_keep(call, ("score", program))


@functools.cache
def put_mapped() -> Callable[..., Any]:
    """Returns a function that replaces one run, mapped over the devices.

    The returned function takes the runs, the new run and its index on each device. An
    index beyond the last leaves that device unchanged.
    """

    def put(runs, run, index):
        """Replaces the run at an index of one device, if it has that index."""
        return jax.tree.map(
            lambda all_, one: all_.at[index].set(one, mode="drop"), runs, run
        )

    return devices.map_devices(put, donate_argnums=(0,))
