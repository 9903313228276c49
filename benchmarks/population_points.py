"""Timing of populations that train on noise, for benchmarks.population."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import harness
from benchmarks import load as loads
from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices as devices_lib
from mrm_jax.sweeps import population, vectorised
from mrm_jax.training import input_pipeline, train_state
from mrm_jax.training.hparams import HParams


class NoiseLoader:
    """Noise on every device, with the interface of `input_pipeline.SplitLoader`.

    A loader of shards would give the same measurements, because resident records are
    not sent to the device again.
    """

    resident = True

    def __init__(self, load: loads.Load) -> None:
        """Puts the records of a load on every device."""
        signals, labels = load.arrays()
        mean, std = np.float32(loads.MEAN_UV), np.float32(loads.STD_UV)
        self._bytes = signals.nbytes
        self._length = len(signals)
        self._records = devices_lib.replicate(
            input_pipeline.Records.of(signals, labels, mean, std)
        )

    def __len__(self) -> int:
        """Returns the number of records."""
        return self._length

    def signal_bytes(self) -> int:
        """Returns the size of the signals in bytes."""
        return self._bytes

    def steps_per_call(self, rows: np.ndarray) -> int:
        """Returns how many steps of `rows` [step, batch] one mapped call takes."""
        return min(len(rows), devices_lib.steps_per_call())

    def records(self, shares: np.ndarray) -> tuple[Any, np.ndarray]:
        """Returns the records and the rows of a call."""
        return self._records, shares


def measure(
    sizes: Sequence[int],
    ways: Sequence[str],
    load: dict[str, int],
    rounds: int,
    width: int = 16,
) -> list[dict[str, Any]]:
    """Measures the time and memory of populations in turns.

    Args:
        sizes: number of slots of each population.
        ways: batchings, see population.Population.
        load: batch, labels, samples and batches of one slot.
        rounds: number of counted rounds.
        width: width of the network.

    Returns:
        For each size and batching: "places" (number of slots), "batching", "devices",
        "seconds" of each round, "records" trained in a round, and "call_mib", the
        memory planned for a call on one device.
    """
    work = loads.Load(**load)
    loader: Any = NoiseLoader(work)
    model = network.MRMNet(work.labels, work.samples, width)
    points = {
        f"{size} {batching}": (size, batching) for size in sizes for batching in ways
    }
    turns = {
        name: _turn(model, loader, work, size, batching)
        for name, (size, batching) in points.items()
    }
    seconds = harness.alternate(turns, rounds, settle=True)
    devices = devices_lib.device_count()
    found = []
    for name, (size, batching) in points.items():
        slots = -(-size // devices)
        planned = population.call_bytes(
            vectorised.Program(model, work.batch, batching), loader, slots
        )
        found.append(
            {
                "places": size,
                "batching": batching,
                "devices": devices,
                "seconds": seconds[name],
                "records": size * work.records,
                "call_mib": round(planned / 2**20),
            }
        )
    return found


def _turn(
    model: network.MRMNet, loader: Any, work: loads.Load, size: int, batching: str
) -> Callable[[], None]:
    """Returns a function that trains every slot of a population for one round."""
    runs = population.Population(vectorised.Program(model, work.batch, batching), size)
    state = jax.device_get(train_state.create(jax.random.PRNGKey(0), model))
    for place in range(size):
        runs.put(place, state, HParams())
    rows = {
        place: input_pipeline.shuffled_batches(len(loader), work.batch, place, 1)
        for place in range(size)
    }

    def train() -> None:
        runs.train(loader, rows)

    return train
