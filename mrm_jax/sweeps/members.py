"""Members: runs of many settings in one program, and the ways in which they share it.

Members of a device share the records, which lie there once, and nothing else: not
weights, not the order of the records, not batch statistics. So there is no
communication, within a device or between devices.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import numpy as np

from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices
from mrm_jax.training import epoch, input_pipeline, scoring, steps, train_state
from mrm_jax.training.train_state import HParams

BATCHINGS = ("vmap", "map", "loop")


def run(
    hparams: HParams,
    rng: jax.Array,
    records: input_pipeline.Records,
    rows: jax.Array,
    *,
    model: network.MRMNet,
) -> tuple[train_state.TrainState, steps.Terms]:
    """Returns the state after a whole run and the terms of its steps, [step].

    A pure function of setting, randomness and data, so that `jax.vmap` makes a
    population of it; `population.Population` computes the same, call by call.

    Args:
        hparams: the setting.
        rng: a raw key, [2] uint32.
        records: the training split.
        rows: [step, batch], record numbers or padding, of all epochs.
        model: with axis_name None.
    """
    state = train_state.create(rng, model)
    return epoch.train_steps(state, records, rows, hparams, model=model)


@flax.struct.dataclass
class Members:
    """Runs that lie together; every array has an axis of members in front."""

    state: train_state.TrainState
    hparams: HParams


def checked_batching(batching: str | None) -> str:
    """Returns how places share a device; None: the default of the backend.

    On the CPU convolutions with kernels of their own for every member take twice as
    long as one member after another (docs/sweeps.md). Elsewhere nothing was measured
    yet, and "vmap" is taken.

    Raises:
        ValueError: if it is none of WAYS, or does not suit the backend.
    """
    rolled = devices.supports_scan()
    batching = batching or ("vmap" if rolled else "loop")
    if batching not in BATCHINGS:
        raise ValueError(f"batching: expected one of {BATCHINGS}, got {batching!r}")
    if batching == "map" and not rolled:
        raise ValueError(
            "batching: 'map' is a loop in the program, in which convolutions run some "
            "60 times slower on the CPU; take 'loop'"
        )
    return batching


def empty(model: network.MRMNet, slots: int) -> Members:
    """Returns members, on the host, that stand for none: of zeros, but trainable.

    Anything but finite numbers could spread: some backends compute the members'
    convolutions as one, with zeros between them, and zero times NaN is NaN.
    """
    one = Members(
        jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), train_state.shapes(model)),
        HParams(),
    )
    return jax.tree.map(lambda x: np.stack([x] * slots), one)


def _over_members(function: Callable[..., Any], batching: str) -> Callable[..., Any]:
    """Returns function over the leading axis of its arguments and results."""
    if batching == "vmap":
        return jax.vmap(function)
    if batching == "map":
        return lambda *values: jax.lax.map(lambda one: function(*one), values)

    def alone(*values: Any) -> Any:
        """Handles an axis of length 1."""
        result = function(*jax.tree.map(lambda x: x[0], values))
        return jax.tree.map(lambda x: x[None], result)

    return alone


@functools.lru_cache(maxsize=8)
def train_mapped(model: network.MRMNet, batching: str) -> Any:
    """Returns `epoch.train_steps` of all members, mapped over the devices.

    A function of members, records and rows [member, step, batch] that returns the
    members, whose memory it reuses, and their terms [member, step].
    """

    def call(members, records, rows):
        """Trains the members of one device on rows [member, step, batch]."""

        def one(member, rows):
            """Trains one member."""
            return epoch.train_steps(
                member.state, records, rows, member.hparams, model=model
            )

        state, terms = _over_members(one, batching)(members, rows)
        return members.replace(state=state), terms

    return devices.map_devices(call, donate_argnums=(0,))


@functools.lru_cache(maxsize=8)
def predict_mapped(model: network.MRMNet, batching: str) -> Callable[..., Any]:
    """Returns `scoring.predict_steps` of all members, mapped over the devices.

    A function of the members' states, records and rows [step, batch], the same for all,
    that returns the scores [member, step, batch, label] of both branches.
    """

    def call(states, records, rows):
        """Scores rows [step, batch] with all members of one device."""
        score = functools.partial(scoring.predict_steps, model=model)
        return _over_members(lambda state: score(state, records, rows), batching)(
            states
        )

    return devices.map_devices(call)


@functools.cache
def put_mapped() -> Callable[..., Any]:
    """Returns what replaces a member, mapped over the devices.

    A function of members, the new one and its slot on each device; a slot beyond the
    last leaves that device as it is.
    """

    def put(members, run, slot):
        """Replaces the member of one device at slot, if it has that slot."""
        return jax.tree.map(
            lambda all_, one: all_.at[slot].set(one, mode="drop"), members, run
        )

    return devices.map_devices(put, donate_argnums=(0,))
