"""Populations: several runs that train together, each exactly as it would alone.

MRM-Net is small, so a single run leaves an accelerator mostly idle. Here every device
holds several runs and advances all of them by one step in a single call.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from mrm_jax.metrics.scores import SplitScores
from mrm_jax.runtime import devices as devices_lib
from mrm_jax.sweeps import vectorised
from mrm_jax.training import epoch as epoch_lib
from mrm_jax.training import input_pipeline, scoring, steps, train_state
from mrm_jax.training.hparams import HParams

Track = Callable[[Iterable[Any], int], Iterable[Any]]


class SlotLocation(NamedTuple):
    """The location of a slot: mapped call, device, and index on that device."""

    group: int
    device: int
    position: int


class Population:
    """Runs on all devices, in numbered slots that can be reused.

    An empty slot costs as much time as a filled one, unless all slots of a mapped call
    are empty.
    """

    def __init__(self, program: vectorised.Program, size: int):
        """Creates empty slots.

        Args:
            program: program of all runs. With the batching "vmap" the slots on a device
                are computed in one wide program, with "map" in a loop within one
                program, and with "loop" with one call for each slot. None selects the
                default of the backend.
            size: number of slots, rounded up to a multiple of the number of devices.

        Raises:
            ValueError: if size is below 1 or the batching is invalid.
        """
        self._program = program.resolved()
        if size < 1:
            raise ValueError(f"expected 1 slot or more, got {size}")
        self._devices = devices_lib.device_count()
        per_device = -(-size // self._devices)
        self.size = per_device * self._devices
        self._width = 1 if self._program.batching == "loop" else per_device
        empty = vectorised.empty(self._program, self._width)
        self._groups = [
            devices_lib.replicate(empty) for _ in range(per_device // self._width)
        ]

    def put(self, slot: int, state: train_state.TrainState, hparams: HParams) -> None:
        """Puts a new or resumed run into a slot and replaces what was there."""
        group, device, position = self._locate(slot)
        indices = np.full(self._devices, self._width, np.int32)  # beyond the last one
        indices[device] = position
        run = devices_lib.replicate(vectorised.VectorisedRuns(state, hparams))
        self._groups[group] = vectorised.put_mapped()(self._groups[group], run, indices)

    def train(
        self,
        loader: input_pipeline.SplitLoader,
        rows: Mapping[int, np.ndarray],
        track: Track = lambda calls, total: calls,
    ) -> dict[int, dict[str, float]]:
        """Trains the runs for one epoch.

        Args:
            loader: the training split.
            rows: slot -> [step, batch], record numbers or padding; the same number of
                steps for all. A slot without rows is empty afterwards.
            track: function of the calls and their number that yields the calls and
                shows progress.

        Returns:
            slot -> means over its records of the loss, its terms and the gradient's
            norm. They are not finite for a run that diverged, whose slot is emptied.
        """
        call = vectorised.train_mapped(self._program)
        chunks = self._chunks(loader, next(iter(rows.values())))
        calls = [(chunk, group) for chunk in chunks for group in self._in_use(rows)]
        epochs = {slot: epoch_lib.Epoch(own) for slot, own in rows.items()}
        pending: list[tuple[int, steps.Terms]] = []
        for chunk, group in track(calls, len(calls)):
            shares = self._shares(group, rows, chunk)
            self._groups[group], terms = call(
                self._groups[group], *loader.records(shares)
            )
            pending.append((group, terms))
            # Terms are read one call later, so that the host prepares the next call
            # while this one runs.
            if len(pending) > 1:
                self._count(*pending.pop(0), epochs)
        self._count(*pending.pop(), epochs)
        means = {slot: epoch.means() for slot, epoch in epochs.items()}
        for slot, values in means.items():
            if not np.isfinite(list(values.values())).all():
                self.clear(slot)
        return means

    def predict(
        self,
        loader: input_pipeline.SplitLoader,
        slots: Collection[int],
        track: Track = lambda calls, total: calls,
    ) -> dict[int, SplitScores]:
        """Returns the scores of every record of the loader's split, by slot."""
        call = vectorised.predict_mapped(self._program)
        rows = input_pipeline.sequential_batches(len(loader), self._program.batch_size)
        chunks = self._chunks(loader, rows)
        calls = [(chunk, group) for chunk in chunks for group in self._in_use(slots)]
        parts: dict[int, list[Any]] = {slot: [] for slot in slots}
        for chunk, group in track(calls, len(calls)):
            shares = np.broadcast_to(rows[chunk], (self._devices, *rows[chunk].shape))
            scores = call(self._groups[group].state, *loader.records(shares))
            self._sort(group, scores, parts)
        return {
            slot: scoring.split_scores(loader, found) for slot, found in parts.items()
        }

    def states(self, slots: Collection[int]) -> dict[int, train_state.TrainState]:
        """Returns the runs' states on the host, by slot."""
        found: dict[int, list[train_state.TrainState]] = {slot: [] for slot in slots}
        for group in self._in_use(slots):
            self._sort(group, self._groups[group].state, found)
        return {slot: states[0] for slot, states in found.items()}

    def clear(self, slot: int) -> None:
        """Empties a slot, so that its non-finite numbers cannot spread."""
        placeholder = jax.tree.map(lambda x: x[0], vectorised.empty(self._program, 1))
        self.put(slot, placeholder.state, placeholder.hparams)

    def _locate(self, slot: int) -> SlotLocation:
        if not 0 <= slot < self.size:
            raise ValueError(f"expected a slot from 0 to {self.size - 1}, got {slot}")
        position, device = divmod(slot, self._devices)
        return SlotLocation(position // self._width, device, position % self._width)

    def _in_use(self, slots: Iterable[int]) -> list[int]:
        return sorted({self._locate(slot).group for slot in slots})

    def _chunks(
        self, loader: input_pipeline.SplitLoader, rows: np.ndarray
    ) -> list[slice]:
        """Returns the steps of each call; streamed records count once for each run."""
        per_call = loader.steps_per_call(np.tile(rows, (1, self._width)))
        return [slice(i, i + per_call) for i in range(0, len(rows), per_call)]

    def _shares(
        self, group: int, rows: Mapping[int, np.ndarray], chunk: slice
    ) -> np.ndarray:
        """Returns a call's rows, [device, run, step, batch]."""
        # Empty slots compute too. Without records their result would be NaN.
        some = next(iter(rows.values()))[chunk]
        shares = np.tile(some, (self._devices, self._width, 1, 1))
        for slot, own in rows.items():
            at = self._locate(slot)
            if at.group == group:
                shares[at.device, at.position] = own[chunk]
        return shares

    def _count(
        self, group: int, terms: steps.Terms, epochs: Mapping[int, epoch_lib.Epoch]
    ) -> None:
        """Adds the terms of a call to the epochs of its slots."""
        parts: dict[int, list[Any]] = {slot: [] for slot in epochs}
        self._sort(group, terms, parts)
        for slot, found in parts.items():
            for part in found:
                epochs[slot].add(part)

    def _sort(self, group: int, values: Any, into: Mapping[int, list[Any]]) -> None:
        """Appends the values of a call, [device, run, ...], to its slots' lists."""
        host = jax.tree.map(np.asarray, values)
        for slot, found in into.items():
            at = self._locate(slot)
            if at.group == group:
                found.append(
                    jax.tree.map(lambda x, at=at: x[at.device, at.position], host)
                )


def largest(
    program: vectorised.Program, loader: input_pipeline.SplitLoader, at_most: int
) -> int:
    """Returns how many slots a population can have on all devices together.

    On the CPU this is the number of devices, as runs train one after another there and
    more slots would save no time. On other backends it is the number of runs that fit
    into memory beside the records. To find it, the training step is compiled for one
    and for two runs per device. The number is extrapolated from the difference and
    verified by compiling for it.

    Args:
        program: program of all runs.
        loader: the training split, already on the devices.
        at_most: largest useful number of slots.

    Raises:
        ValueError: if not even one run fits on a device.
    """
    devices = devices_lib.device_count()
    if not devices_lib.supports_scan():
        return max(1, min(devices, at_most))
    limit = devices_lib.free_bytes()
    needs = [call_bytes(program, loader, runs) for runs in (1, 2)]
    if needs[0] > limit:
        raise ValueError(
            f"One run needs {needs[0] / 2**30:.1f} GiB of device memory beside the "
            f"records, but only {limit / 2**30:.1f} GiB are free. Use a smaller "
            "batch_size."
        )
    each = max(1, needs[1] - needs[0])
    per_device = min(1 + int((limit - needs[0]) // each), -(-at_most // devices))
    while per_device > 1:
        if call_bytes(program, loader, per_device) <= limit:
            break
        per_device -= 1
    return min(per_device * devices, at_most)


def call_bytes(
    program: vectorised.Program, loader: input_pipeline.SplitLoader, per_device: int
) -> int:
    """Returns the bytes of device memory that training needs besides resident records.

    Args:
        program: program of all runs.
        loader: the training split.
        per_device: number of runs on a device.
    """
    program, devices = program.resolved(), devices_lib.device_count()
    together = 1 if program.batching == "loop" else per_device
    rows = input_pipeline.sequential_batches(len(loader), program.batch_size)
    steps = loader.steps_per_call(np.tile(rows, (1, together)))
    shares = np.broadcast_to(
        rows[:steps], (devices, together, steps, program.batch_size)
    )
    records, named = loader.records(shares)
    some = jax.tree.map(
        lambda x: np.broadcast_to(x, (devices, *x.shape)),
        vectorised.empty(program, together),
    )
    arguments = jax.eval_shape(lambda *given: given, some, records, named)
    compiled = vectorised.train_mapped(program).lower(*arguments).compile()
    planned = compiled.memory_analysis()
    one = vectorised.empty(program, 1)
    state = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(one))
    resident = loader.signal_bytes() if loader.resident else 0
    needed = planned.temp_size_in_bytes + planned.argument_size_in_bytes - resident
    needed += planned.output_size_in_bytes - planned.alias_size_in_bytes
    return needed + (per_device - together) * state
