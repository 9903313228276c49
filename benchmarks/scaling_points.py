"""Measurement of the network's rates and memory at several sizes, in one process."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import jax

from benchmarks import harness, jax_side
from benchmarks import load as loads
from mrm_jax.runtime import devices as devices_lib
from mrm_jax.training import epoch, scoring

WORK = ("train", "score")


@dataclasses.dataclass(frozen=True)
class Size:
    """Size of one measured point."""

    batch: int  # total over all devices
    samples: int
    labels: int
    devices: int


VARIED = tuple(field.name for field in dataclasses.fields(Size))


class Side(jax_side.JaxSide):
    """Training and scoring at one size, with XLA's memory analysis."""

    def memory_mib(self) -> dict[str, float]:
        """Returns the memory of a step on one device, in MiB.

        Returns:
            "state": parameters, running averages and moments of Adam.
            "arguments": state, records on the device and record indices.
            "train", "score": temporary memory of the step, besides its arguments.
        """
        step = (self._state, self._records, self._rows[0])
        train = _memory(epoch.mapped(self._model), *step, self._hparams)
        score = _memory(scoring.mapped(self._model), *step)
        leaves = jax.tree.leaves(self._state)
        found = {
            "state": sum(leaf.nbytes for leaf in leaves) / devices_lib.device_count(),
            "arguments": train.argument_size_in_bytes,
            "train": train.temp_size_in_bytes,
            "score": score.temp_size_in_bytes,
        }
        return {name: size / 2**20 for name, size in found.items()}


def measure(
    sizes: Sequence[dict[str, int]], round_records: int, rounds: int, **options: Any
) -> list[dict[str, Any]]:
    """Measures rates and memory of several sizes in turns.

    Args:
        sizes: fields of `Size`, all with the same number of devices.
        round_records: number of records that each size trains and scores in a round;
            at least one batch is used.
        rounds: number of counted rounds.
        options: arguments of MRMNet.

    Returns:
        For each size: its fields, "train" and "score" in records/s, and "memory_mib" as
        in `Side.memory_mib`. Empty if JAX has another number of devices.
    """
    points = [Size(**size) for size in sizes]
    if {point.devices for point in points} != {devices_lib.device_count()}:
        return []
    work = [_load(point, round_records) for point in points]
    sides = [Side(load, **options) for load in work]
    memory = [side.memory_mib() for side in sides]
    ways: dict[str, Callable[[], None]] = {}
    for number, side in enumerate(sides):
        ways |= {f"{way} {number}": getattr(side, way) for way in WORK}
    seconds = harness.alternate(ways, rounds, settle=True)
    return [
        {
            **dataclasses.asdict(point),
            **{
                way: median_range(
                    [load.records / s for s in seconds[f"{way} {number}"]]
                )
                for way in WORK
            },
            "memory_mib": memory[number],
        }
        for number, (point, load) in enumerate(zip(points, work, strict=True))
    ]


def median_range(values: Sequence[float]) -> dict[str, float]:
    """Returns the median, lowest and highest value."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
    }


def _memory(mapped: Any, *arguments: Any) -> Any:
    """Returns XLA's memory analysis of a mapped call, which it also compiles."""
    return mapped.lower(*arguments).compile().memory_analysis()


def _load(size: Size, round_records: int) -> loads.Load:
    batches = max(1, round_records // size.batch)
    return loads.Load(size.batch, size.labels, size.samples, batches)
