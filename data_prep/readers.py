"""Reads records with all who share the work, in order."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import joblib
import numpy as np

from data_prep import dask_cluster, workers
from mrm_jax.data import preprocessing

BATCH = 32  # records per call of a worker: starting a call costs more than a record
RECORDS_PER_WORKER = 2048  # a process takes as long to start as it takes to read these
TRIALS = 8  # records that each worker of a cluster has to read as this process does

Reader = Callable[[Path], tuple[np.ndarray, int]]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What is done to every record."""

    read: Reader  # path -> signal [time, lead] in mV, rate in Hz
    source_rate: int  # Hz; records of another rate are unfit
    sampling_rate: int  # Hz, in the shards
    num_samples: int  # in the shards
    length_rule: str  # one of preprocessing.LENGTH_RULES


def processes(num_records: int, jobs: int) -> workers.Workers:
    """Returns processes of this machine: fewer than asked for few records."""
    useful = max(1, num_records // RECORDS_PER_WORKER)
    return workers.Workers(min(joblib.effective_n_jobs(jobs), useful))


def check(
    cluster: dask_cluster.Cluster, paths: Sequence[Path], reading: Reading
) -> None:
    """Lets each worker read a few records, which have to come out as they do here.

    Raises:
        ValueError: naming a worker that reads something else.
    """
    step = max(1, len(paths) // TRIALS)
    cluster.check(
        _describe,
        _absolute(paths[::step]),
        reading,
        way_out="every machine has to see the raw records under the same path",
    )


def read_all(
    paths: Sequence[Path], reading: Reading, pool: workers.Workers
) -> Iterator[np.ndarray | str]:
    """Yields each record's signal, or why there is none, in order."""
    absolute = _absolute(paths)
    batches = [absolute[i : i + BATCH] for i in range(0, len(paths), BATCH)]
    read = functools.partial(_read_batch, reading=reading)
    with workers.bar("reading records", len(paths)) as advance:
        for batch, results in zip(batches, pool.map(read, batches), strict=True):
            for path, result in zip(batch, results, strict=True):
                # Read here too before it is left out: a machine of a cluster may have
                # lost the disk after the check.
                yield _read_one(path, reading) if isinstance(result, str) else result
            advance(len(batch))


def _absolute(paths: Sequence[Path]) -> list[Path]:
    """Returns the paths for machines where the current folder is another one."""
    return [path.absolute() for path in paths]


def _describe(paths: Sequence[Path], reading: Reading) -> dict[str, str]:
    """Returns what each record gives: a hash, or why it is unfit."""
    results = _read_batch(paths, reading)
    return {
        str(path): result if isinstance(result, str) else _hash(result)
        for path, result in zip(paths, results, strict=True)
    }


def _hash(signal_uv: np.ndarray) -> str:
    return f"SHA-256 {hashlib.sha256(signal_uv.tobytes()).hexdigest()}"


def _read_batch(paths: Sequence[Path], reading: Reading) -> list[np.ndarray | str]:
    return [_read_one(path, reading) for path in paths]


def _read_one(path: Path, reading: Reading) -> np.ndarray | str:
    """Returns int16 microvolts [time, lead], or why the record is unfit."""
    try:
        signal_mv, rate = reading.read(path)
        if rate != reading.source_rate:
            return f"wrong rate: expected {reading.source_rate} Hz, found {rate} Hz"
        return preprocessing.prepare_uv(
            signal_mv,
            rate,
            reading.sampling_rate,
            reading.num_samples,
            reading.length_rule,
        )
    except ValueError as error:
        return str(error)
