"""Reads and converts raw records in parallel, in order."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import joblib
import numpy as np

from data_prep import dask_cluster, workers
from mrm_jax.data import plausibility, preprocessing

BATCH = 32  # records per call of a worker, as a call costs more than reading one
RECORDS_PER_WORKER = 2048  # starting a process takes as long as reading these
MAX_SAMPLES = 10_000_000  # of a record in the shards
NUM_CHECKED = 8  # records that each worker of a cluster reads as a check

Reader = Callable[[Path], tuple[np.ndarray, float]]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How each record is read and converted."""

    read: Reader  # path -> signal [time, lead] in mV, rate in Hz
    source_rate: int | None  # Hz; records of another rate are skipped; None: any rate
    sampling_rate: int  # Hz, in the shards
    num_samples: int  # in the shards
    length_policy: str  # one of preprocessing.LENGTH_POLICIES
    options: str = ""  # describes what else `read` depends on, such as a unit
    unit: str = "mV"  # of files that state none, for errors


def num_samples(duration_s: float, sampling_rate: int) -> int:
    """Returns the number of samples of each record in the shards.

    Raises:
        ValueError: if it is none, or more than fits into memory.
    """
    if not 1 <= duration_s * sampling_rate <= MAX_SAMPLES:
        raise ValueError(
            f"{duration_s:g} s at {sampling_rate} Hz: expected 1 to {MAX_SAMPLES:,} "
            "samples. Change --duration or --shard_rate."
        )
    return round(duration_s * sampling_rate)


def processes(num_records: int, jobs: int) -> workers.Workers:
    """Returns a pool of local processes, fewer than requested for few records."""
    useful = max(1, num_records // RECORDS_PER_WORKER)
    return workers.Workers(min(joblib.effective_n_jobs(jobs), useful))


def check(
    cluster: dask_cluster.Cluster, paths: Sequence[Path], reading: Reading
) -> None:
    """Checks that each worker reads a few records exactly as this process does.

    Raises:
        ValueError: if a worker reads something else; names it.
    """
    step = max(1, len(paths) // NUM_CHECKED)
    cluster.check(
        _describe,
        _absolute(paths[::step]),
        reading,
        advice="Every machine needs the raw records under the same path.",
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Converted:
    """A record as it is stored in shards."""

    signal_uv: np.ndarray  # [time, lead], int16
    notes: tuple[str, ...]  # doubts about the signal


def read_all(
    paths: Sequence[Path], reading: Reading, pool: workers.Workers
) -> Iterator[Converted | str]:
    """Yields each record, or the reason to skip it, in order."""
    absolute = _absolute(paths)
    batches = [absolute[i : i + BATCH] for i in range(0, len(paths), BATCH)]
    read = functools.partial(_read_batch, reading=reading)
    with workers.bar("reading records", len(paths)) as advance:
        for batch, results in zip(batches, pool.map(read, batches), strict=True):
            for path, result in zip(batch, results, strict=True):
                # Try again here before skipping it, as a machine of a cluster may have
                # lost the disk after the check.
                yield read_one(path, reading) if isinstance(result, str) else result
            advance(len(batch))


def _absolute(paths: Sequence[Path]) -> list[Path]:
    """Returns absolute paths, as workers may have another current folder."""
    return [path.absolute() for path in paths]


def _describe(paths: Sequence[Path], reading: Reading) -> dict[str, str]:
    """Returns the hash of each record, or the reason to skip it."""
    results = _read_batch(paths, reading)
    return {
        str(path): result if isinstance(result, str) else _hash(result.signal_uv)
        for path, result in zip(paths, results, strict=True)
    }


def _hash(signal_uv: np.ndarray) -> str:
    return f"SHA-256 {hashlib.sha256(signal_uv.tobytes()).hexdigest()}"


def _read_batch(paths: Sequence[Path], reading: Reading) -> list[Converted | str]:
    return [read_one(path, reading) for path in paths]


def read_one(path: Path, reading: Reading) -> Converted | str:
    """Returns the converted record, or the reason to skip it."""
    try:
        signal_mv, rate = reading.read(path)
        if reading.source_rate not in (None, rate):
            return f"wrong rate: expected {reading.source_rate} Hz, found {rate} Hz"
        signal_uv = preprocessing.prepare_uv(
            signal_mv,
            rate,
            reading.sampling_rate,
            reading.num_samples,
            reading.length_policy,
            reading.unit,
        )
        notes = plausibility.check(
            signal_uv / 1000, reading.sampling_rate, reading.unit
        )
        return Converted(signal_uv, notes)
    except ValueError as error:
        return str(error)
    except OSError:  # says nothing about the record
        raise
    except Exception as error:  # readers raise almost anything for damaged files
        return f"unreadable: {path.name}: {error!r}"
