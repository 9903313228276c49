"""Populations: runs of many settings that train together, each as it would alone.

MRM-Net is small: one run leaves an accelerator idle. Here every device holds several
runs and makes a step of each in one call.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from mrm_jax.metrics.scores import SplitScores
from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices
from mrm_jax.runtime import devices as devices_lib
from mrm_jax.sweeps import members
from mrm_jax.training import epoch as epoch_lib
from mrm_jax.training import input_pipeline, scoring, steps, train_state
from mrm_jax.training.train_state import HParams

Track = Callable[[Iterable[Any], int], Iterable[Any]]


class Place(NamedTuple):
    """Where a run lies: which mapped call, which device, which of its members."""

    group: int
    device: int
    slot: int


class Population:
    """Runs side by side on all devices, in numbered places that can be filled again.

    An empty place costs what a filled one costs, except where all places of a mapped
    call are empty.
    """

    def __init__(
        self,
        model: network.MRMNet,
        size: int,
        batch_size: int,
        batching: str | None = None,
    ):
        """Makes empty places.

        Args:
            model: of all runs; its axis_name does not matter.
            size: how many places, rounded up to equally many on every device.
            batch_size: of each run.
            batching: how the places of a device share it, of members.BATCHINGS: "vmap"
                makes one vectorised program of them, "map" a loop in one program,
                "loop" a call for each place. Default: as `members.checked_batching`.

        Raises:
            ValueError: if size or way is none.
        """
        self.batching = members.checked_batching(batching)
        if size < 1:
            raise ValueError(f"expected 1 place or more, got {size}")
        self._model, self._batch_size = model.clone(axis_name=None), batch_size
        self._devices = devices.device_count()
        per_device = -(-size // self._devices)
        self.size = per_device * self._devices
        self._slots = 1 if self.batching == "loop" else per_device
        empty = members.empty(self._model, self._slots)
        self._groups = [
            devices.replicate(empty) for _ in range(per_device // self._slots)
        ]

    def put(self, place: int, state: train_state.TrainState, hparams: HParams) -> None:
        """Lets a run start, or go on, at a place; what was there is gone."""
        group, device, slot = self._locate(place)
        slots = np.full(self._devices, self._slots, np.int32)  # beyond the last: none
        slots[device] = slot
        run = devices.replicate(members.Members(state, hparams))
        self._groups[group] = members.put_mapped()(self._groups[group], run, slots)

    def train(
        self,
        loader: input_pipeline.SplitLoader,
        rows: Mapping[int, np.ndarray],
        track: Track = lambda calls, total: calls,
    ) -> dict[int, dict[str, float]]:
        """Trains for an epoch.

        Args:
            loader: the training split.
            rows: place -> [step, batch], record numbers or padding; equally many steps
                everywhere. A place that is left out holds no run afterwards.
            track: wraps the calls and shows their progress, given how many there are.

        Returns:
            place -> means over its records of the loss, its terms and the gradient's
            norm; not finite where a run diverged, whose place is empty then.
        """
        call = members.train_mapped(self._model, self.batching)
        chunks = self._chunks(loader, next(iter(rows.values())))
        calls = [(chunk, group) for chunk in chunks for group in self._in_use(rows)]
        epochs = {place: epoch_lib.Epoch(own) for place, own in rows.items()}
        pending: list[tuple[int, steps.Terms]] = []
        for chunk, group in track(calls, len(calls)):
            shares = self._shares(group, rows, chunk)
            self._groups[group], terms = call(
                self._groups[group], *loader.records(shares)
            )
            pending.append((group, terms))
            # One call behind, so that the host prepares the next while this one runs.
            if len(pending) > 1:
                self._count(*pending.pop(0), epochs)
        self._count(*pending.pop(), epochs)
        means = {place: epoch.means() for place, epoch in epochs.items()}
        for place, values in means.items():
            if not np.isfinite(list(values.values())).all():
                self.clear(place)
        return means

    def predict(
        self,
        loader: input_pipeline.SplitLoader,
        places: Collection[int],
        track: Track = lambda calls, total: calls,
    ) -> dict[int, SplitScores]:
        """Returns the scores of every record of feed, place by place."""
        call = members.predict_mapped(self._model, self.batching)
        rows = input_pipeline.sequential_batches(len(loader), self._batch_size)
        chunks = self._chunks(loader, rows)
        calls = [(chunk, group) for chunk in chunks for group in self._in_use(places)]
        parts: dict[int, list[Any]] = {place: [] for place in places}
        for chunk, group in track(calls, len(calls)):
            shares = np.broadcast_to(rows[chunk], (self._devices, *rows[chunk].shape))
            scores = call(self._groups[group].state, *loader.records(shares))
            self._sort(group, scores, parts)
        return {
            place: scoring.split_scores(loader, *zip(*found, strict=True))
            for place, found in parts.items()
        }

    def states(self, places: Collection[int]) -> dict[int, train_state.TrainState]:
        """Returns the runs' states on the host, place by place."""
        found: dict[int, list[train_state.TrainState]] = {place: [] for place in places}
        for group in self._in_use(places):
            self._sort(group, self._groups[group].state, found)
        return {place: states[0] for place, states in found.items()}

    def clear(self, place: int) -> None:
        """Empties a place: numbers that are not finite could spread from it."""
        nobody = jax.tree.map(lambda x: x[0], members.empty(self._model, 1))
        self.put(place, nobody.state, nobody.hparams)

    def _locate(self, place: int) -> Place:
        if not 0 <= place < self.size:
            raise ValueError(f"expected a place from 0 to {self.size - 1}, got {place}")
        position, device = divmod(place, self._devices)
        return Place(position // self._slots, device, position % self._slots)

    def _in_use(self, places: Iterable[int]) -> list[int]:
        return sorted({self._locate(place).group for place in places})

    def _chunks(
        self, loader: input_pipeline.SplitLoader, rows: np.ndarray
    ) -> list[slice]:
        """Returns the steps of each call; streamed records count for every member."""
        per_call = loader.steps_per_call(np.tile(rows, (1, self._slots)))
        return [slice(i, i + per_call) for i in range(0, len(rows), per_call)]

    def _shares(
        self, group: int, rows: Mapping[int, np.ndarray], chunk: slice
    ) -> np.ndarray:
        """Returns a call's rows, [device, member, step, batch]."""
        # Empty places compute as well, for nothing: without records it would be NaN.
        some = next(iter(rows.values()))[chunk]
        shares = np.tile(some, (self._devices, self._slots, 1, 1))
        for place, own in rows.items():
            at = self._locate(place)
            if at.group == group:
                shares[at.device, at.slot] = own[chunk]
        return shares

    def _count(
        self, group: int, terms: steps.Terms, epochs: Mapping[int, epoch_lib.Epoch]
    ) -> None:
        """Adds the terms of a call to the epochs of its places."""
        parts: dict[int, list[Any]] = {place: [] for place in epochs}
        self._sort(group, terms, parts)
        for place, found in parts.items():
            for part in found:
                epochs[place].add(part)

    def _sort(self, group: int, values: Any, into: Mapping[int, list[Any]]) -> None:
        """Adds what a call left on each device, [device, member, ...], by places."""
        host = jax.tree.map(np.asarray, values)
        for place, found in into.items():
            at = self._locate(place)
            if at.group == group:
                found.append(jax.tree.map(lambda x, at=at: x[at.device, at.slot], host))


def largest(
    model: network.MRMNet,
    loader: input_pipeline.SplitLoader,
    batch_size: int,
    at_most: int,
    batching: str | None = None,
) -> int:
    """Returns how many places a population can have on all devices together.

    On the CPU the number of devices: there settings train one after another, so that
    more at once end no sooner. Elsewhere what fits beside the records, which lie there
    already: the training step is compiled for one and for two settings a device, the
    number follows from the difference, and is compiled and checked in its turn.

    Args:
        model: of all settings.
        loader: the training split, on the devices already.
        batch_size: of each setting.
        at_most: places that can be used.
        batching: as `population.Population` takes it.

    Raises:
        ValueError: if not even one setting a device fits.
    """
    devices = devices_lib.device_count()
    if not devices_lib.supports_scan():
        return max(1, min(devices, at_most))
    limit = devices_lib.free_bytes()
    needs = [call_bytes(model, loader, batch_size, slots, batching) for slots in (1, 2)]
    if needs[0] > limit:
        raise ValueError(
            f"one setting needs {needs[0] / 2**30:.1f} GiB of a device beside the "
            f"records, free are {limit / 2**30:.1f}: take a smaller batch_size"
        )
    each = max(1, needs[1] - needs[0])
    slots = min(1 + int((limit - needs[0]) // each), -(-at_most // devices))
    while slots > 1 and call_bytes(model, loader, batch_size, slots, batching) > limit:
        slots -= 1
    return min(slots * devices, at_most)


def call_bytes(
    model: network.MRMNet,
    loader: input_pipeline.SplitLoader,
    batch_size: int,
    slots: int,
    batching: str | None = None,
) -> int:
    """Returns the bytes of a device that training takes, without resident records.

    Args:
        model: of all settings.
        loader: the training split.
        batch_size: of each setting.
        slots: settings on a device.
        batching: as `population.Population` takes it.
    """
    batching = members.checked_batching(batching)
    model, devices = model.clone(axis_name=None), devices_lib.device_count()
    together = 1 if batching == "loop" else slots
    rows = input_pipeline.sequential_batches(len(loader), batch_size)
    steps = loader.steps_per_call(np.tile(rows, (1, together)))
    shares = np.broadcast_to(rows[:steps], (devices, together, steps, batch_size))
    records, named = loader.records(shares)
    some = jax.tree.map(
        lambda x: np.broadcast_to(x, (devices, *x.shape)),
        members.empty(model, together),
    )
    arguments = jax.eval_shape(lambda *given: given, some, records, named)
    spec = members.train_mapped(model, batching).lower(*arguments).compile()
    planned = spec.memory_analysis()
    state = sum(
        x.size * x.dtype.itemsize for x in jax.tree.leaves(members.empty(model, 1))
    )
    resident = loader.signal_bytes() if loader.resident else 0
    needed = planned.temp_size_in_bytes + planned.argument_size_in_bytes - resident
    needed += planned.output_size_in_bytes - planned.alias_size_in_bytes
    return needed + (slots - together) * state
