"""Measurement of the cost of records without the network: input and metrics."""

import functools
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import harness, scaling_points
from benchmarks import load as loads
from data_prep import shard_writer
from mrm_jax.data import leads, shards
from mrm_jax.metrics import classification
from mrm_jax.runtime import devices
from mrm_jax.training import input_pipeline

LABEL_SET = "noise"
DISTINCT_RECORDS = 500  # further records repeat these; their values do not matter
FIRST, PLACE = "streamed, files not in memory yet", "put on the device, once a run"
RESIDENT, STREAMED = "resident", "streamed"
GATHER = "streamed, the host's part alone"


def measure(
    counts: Sequence[int], load: dict[str, int], rounds: int
) -> list[dict[str, Any]]:
    """Measures input rates, and time and memory of the metrics, for each record count.

    Args:
        counts: numbers of records.
        load: batch, labels and samples of `loads.Load`.
        rounds: number of counted rounds.

    Returns:
        For each count: "records", "labels", "record_bytes", "input" (method ->
        records/s) and "metrics" ("seconds", "peak_bytes").
    """
    found = []
    size = loads.Load(**load)
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            write_shards(Path(folder), count, size)
            rates = input_rates(Path(folder), size.batch, rounds)
        found.append(
            {
                "records": count,
                "labels": size.labels,
                "record_bytes": size.samples * len(leads.LEADS) * 2,
                "input": {n: scaling_points.median_range(r) for n, r in rates.items()},
                "metrics": metrics_cost(count, size.labels, rounds),
            }
        )
    return found


def write_shards(folder: Path, count: int, load: loads.Load) -> None:
    """Writes `count` noise records as shards to an empty folder."""
    size = loads.Load(min(count, DISTINCT_RECORDS), load.labels, load.samples)
    signals_uv, labels = size.arrays()
    labels[:, 0] = 1  # the split would skip records without a label
    writer = shard_writer.Writer(folder, load.samples, shard_writer.SHARD_BYTES)
    for record in range(count):
        writer.add(signals_uv[record % len(signals_uv)])
    names = tuple(f"label-{number}" for number in range(load.labels))
    matrix = np.resize(labels, (count, load.labels))
    writer.finish(
        names=[f"{record:08d}" for record in range(count)],
        folds=np.ones(count),
        tables={LABEL_SET: shard_writer.LabelTable(names, names, matrix)},
        skipped=(),
        facts={
            "data_set": "noise",
            "data_set_version": "1",
            "sampling_rate": 100,
            "length_policy": "exact",
            "sources": {},
        },
    )


def input_rates(folder: Path, batch: int, rounds: int) -> dict[str, list[float]]:
    """Measures the records/s of each method of bringing an epoch to the device.

    The records are gathered and standardised on the device, as before the network.
    Methods that do not fit in memory or cannot be measured here are omitted.

    Args:
        folder: folder of the shards.
        batch: batch size.
        rounds: number of counted rounds.

    Returns:
        method -> records/s of each round.
    """
    seconds: harness.Seconds = {}
    if hasattr(os, "posix_fadvise"):  # not on every system
        seconds[FIRST] = [_first_epoch(folder, batch) for _ in range(rounds)]
    streamed = _streamed(folder)
    ways: dict[str, Callable[[], object]] = {
        STREAMED: functools.partial(_epoch, streamed, batch),
        GATHER: lambda: [None for _ in streamed.calls(_rows(streamed, batch))],
    }
    resident = _loader(folder)
    if resident.resident:
        ways[RESIDENT] = functools.partial(_epoch, resident, batch)
        ways[PLACE] = functools.partial(_place, folder, batch)
    seconds |= harness.alternate(ways, rounds)
    return {n: [len(streamed) / s for s in values] for n, values in seconds.items()}


def metrics_cost(count: int, num_labels: int, rounds: int) -> dict[str, Any]:
    """Measures the time and peak memory of the metrics of one head."""
    rng = np.random.default_rng(0)
    scores = rng.random((count, num_labels), dtype=np.float32)
    labels = (rng.random(scores.shape) < 0.05).astype(np.uint8)
    evaluate = functools.partial(classification.evaluate, scores, labels)
    seconds = harness.alternate({"metrics": evaluate}, rounds)["metrics"]
    tracemalloc.start()  # NumPy reports its arrays to it
    evaluate()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"seconds": scaling_points.median_range(seconds), "peak_bytes": peak}


def _loader(
    folder: Path, resident_bytes: int | None = None
) -> input_pipeline.SplitLoader:
    data = shards.load(folder)
    split, facts = data.split(LABEL_SET, "train"), data.label_set(LABEL_SET)
    return input_pipeline.SplitLoader(data, split, facts, resident_bytes)


def _place(folder: Path, batch: int) -> None:
    """Opens the files and waits until all records are on the device."""
    loader = _loader(folder)
    jax.block_until_ready(next(loader.calls(_rows(loader, batch))))


def _streamed(folder: Path) -> input_pipeline.SplitLoader:
    """Returns a loader that streams, because the limit is one byte below its size."""
    size = _loader(folder, 0).signal_bytes()
    return _loader(folder, size - 1)


def _first_epoch(folder: Path, batch: int) -> float:
    """Measures the seconds of an epoch whose files are not in the file cache."""
    for path in folder.glob("signals-*.npy"):
        with path.open("rb") as file:
            os.fsync(file)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    loader = _streamed(folder)
    start = time.perf_counter()
    _epoch(loader, batch)
    return time.perf_counter() - start


def _rows(loader: input_pipeline.SplitLoader, batch: int) -> np.ndarray:
    return input_pipeline.shuffled_batches(len(loader), batch, seed=0, epoch=1)


def _epoch(loader: input_pipeline.SplitLoader, batch: int) -> None:
    """Loads one epoch; as in training, the host prepares a call while another runs."""
    call, pending = _mapped(), None
    for records, shares in loader.calls(_rows(loader, batch)):
        total = call(records, shares)
        jax.block_until_ready(pending)
        pending = total
    jax.block_until_ready(pending)


@functools.cache
def _mapped() -> Callable[..., jax.Array]:
    return devices.map_devices(_consume)


def _consume(records: input_pipeline.Records, rows: jax.Array) -> jax.Array:
    """Sums all standardised samples of `rows` [step, batch]."""

    def body(total, batch_rows):
        return total + jnp.sum(input_pipeline.take(records, batch_rows).signal), None

    return devices.loop(body, jnp.zeros(()), rows)[0]
