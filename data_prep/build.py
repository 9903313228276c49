"""Turns an index of raw records into a folder of shards, in parallel."""

import csv
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import joblib
import numpy as np

from data_prep import new_folder, progress, shard_writer, signals
from mrm_jax import manifest as manifests
from mrm_jax import shards

BATCH = 32  # records per call of a worker: starting a call costs more than a record
BATCHES_PER_ROUND = 8  # of each worker, read before they are written; bounds the memory
RECORDS_PER_WORKER = 2048  # a worker takes as long to start as it takes to read these
MAX_REJECTED_SHARE = 0.1

Reader = Callable[[Path], tuple[np.ndarray, int]]


@dataclasses.dataclass(frozen=True)
class Index:
    """What a data set's tables say, before any signal was read."""

    data_set: str
    version: str
    names: Sequence[str]  # [record]
    paths: Sequence[Path]  # [record], what Reading.read takes
    folds: np.ndarray  # [record], 1 to 10
    tables: dict[str, shard_writer.LabelTable]  # label set -> its labels
    sources: dict[str, str]  # label table -> SHA-256
    rejected: Sequence[tuple[str, str]] = ()  # name, reason: unfit by the tables alone


@dataclasses.dataclass(frozen=True)
class Reading:
    """What is done to every record."""

    read: Reader  # path -> signal [time, lead] in mV, rate in Hz
    source_rate: int  # Hz; records of another rate are unfit
    sampling_rate: int  # Hz, in the shards
    num_samples: int  # in the shards
    length_rule: str  # one of signals.LENGTH_RULES


def build(
    index: Index,
    reading: Reading,
    out_dir: Path,
    *,
    strict: bool = False,
    jobs: int = -1,
) -> manifests.Manifest:
    """Writes the records of `index` as shards and returns their manifest.

    A finished build of the same data at `out_dir` is left as it is.

    Args:
        index: the records.
        reading: what is done to each of them.
        out_dir: the folder to make.
        strict: make the first unfit record an error.
        jobs: processes that read, at most; -1 for one per core.

    Raises:
        ValueError: if `out_dir` holds something else, another build is writing it, an
            unfit record is met in strict mode, or more than a tenth are unfit.
    """
    manifest = finished(index, reading, out_dir)
    if manifest is not None:
        return manifest
    with new_folder.building(out_dir) as folder:
        return _write(index, reading, folder, strict=strict, jobs=jobs)


def finished(
    index: Index, reading: Reading, out_dir: Path
) -> manifests.Manifest | None:
    """Returns the manifest of a finished build of the same data, None if there is none.

    Raises:
        ValueError: if `out_dir` holds anything else.
    """
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return None
    way_out = "choose another --out_dir, or delete this one"
    if not out_dir.is_dir() or not (out_dir / manifests.MANIFEST).is_file():
        raise ValueError(
            f"{out_dir}: expected nothing or a finished build, found other files; "
            f"{way_out}"
        )
    try:
        manifest = shards.load(out_dir).manifest
    except ValueError as error:
        raise ValueError(f"{error} ({way_out})") from None
    for field, expected in _facts(index, reading).items():
        found = getattr(manifest, field)
        if found != expected:
            raise ValueError(
                f"{out_dir}: holds a finished build of another {field}: "
                f"expected {expected}, found {found}; {way_out}"
            )
    return manifest


def count_reasons(out_dir: Path) -> dict[str, int]:
    """Returns why records of a finished build were left out, most frequent first."""
    with (out_dir / shard_writer.REJECTED).open(newline="") as file:
        return _count([row["reason"] for row in csv.DictReader(file)])


def _count(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(text.partition(":")[0] for text in reasons).most_common())


def _write(
    index: Index, reading: Reading, folder: Path, *, strict: bool, jobs: int
) -> manifests.Manifest:
    writer = shard_writer.Writer(folder, reading.num_samples, shard_writer.SHARD_BYTES)
    kept: list[int] = []
    rejected = list(index.rejected)
    _refuse(index, rejected, strict)
    workers = num_workers(index, jobs)
    for row, result in enumerate(_read_all(index.paths, reading, workers)):
        if isinstance(result, str):
            rejected.append((index.names[row], result))
            _refuse(index, rejected, strict)
        else:
            writer.add(result)
            kept.append(row)
    _check_share(index, rejected)
    rows = np.array(kept, np.int64)
    tables = {name: _select(table, rows) for name, table in index.tables.items()}
    names = [index.names[row] for row in kept]
    facts = _facts(index, reading)
    return writer.finish(names, index.folds[rows], tables, rejected, facts)


def num_workers(index: Index, jobs: int) -> int:
    """Returns how many processes read: fewer than asked for few records."""
    useful = max(1, len(index.names) // RECORDS_PER_WORKER)
    return min(joblib.effective_n_jobs(jobs), useful)


def _read_all(
    paths: Sequence[Path], reading: Reading, workers: int
) -> Iterator[np.ndarray | str]:
    """Yields each record's signal, or why there is none, in order."""
    batches = [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]
    per_round = BATCHES_PER_ROUND * workers
    with (
        joblib.Parallel(n_jobs=workers) as parallel,
        progress.bar("reading records", len(paths)) as advance,
    ):
        for start in range(0, len(batches), per_round):
            part = batches[start : start + per_round]
            results = parallel(joblib.delayed(_read_batch)(b, reading) for b in part)
            for batch in results:
                yield from batch
                advance(len(batch))


def _read_batch(paths: Sequence[Path], reading: Reading) -> list[np.ndarray | str]:
    return [_read_one(path, reading) for path in paths]


def _read_one(path: Path, reading: Reading) -> np.ndarray | str:
    """Returns int16 microvolts [time, lead], or why the record is unfit."""
    try:
        signal_mv, rate = reading.read(path)
        if rate != reading.source_rate:
            return f"wrong rate: expected {reading.source_rate} Hz, found {rate} Hz"
        return signals.prepare_uv(
            signal_mv,
            rate,
            reading.sampling_rate,
            reading.num_samples,
            reading.length_rule,
        )
    except ValueError as error:
        return str(error)


def _facts(index: Index, reading: Reading) -> dict[str, object]:
    """Returns what tells one build from another; the manifest holds all of it."""
    return {
        "data_set": index.data_set,
        "data_set_version": index.version,
        "sampling_rate": reading.sampling_rate,
        "length_rule": reading.length_rule,
        "sources": dict(index.sources),
    }


def _select(
    table: shard_writer.LabelTable, rows: np.ndarray
) -> shard_writer.LabelTable:
    first = None if table.first_label is None else table.first_label[rows]
    return dataclasses.replace(table, matrix=table.matrix[rows], first_label=first)


def _refuse(index: Index, rejected: Sequence[tuple[str, str]], strict: bool) -> None:
    if strict and rejected:
        name, reason = rejected[-1]
        raise ValueError(
            f"{index.data_set} record {name}: {reason}; mend the record, or leave out "
            "--strict to go on without it"
        )


def _check_share(index: Index, rejected: Sequence[tuple[str, str]]) -> None:
    total = len(index.names) + len(index.rejected)
    if len(rejected) > MAX_REJECTED_SHARE * total or len(rejected) == total:
        reasons = _count(reason for _, reason in rejected)
        counts = ", ".join(f"{count} {what}" for what, count in reasons.items())
        examples = "; ".join(f"{name}: {reason}" for name, reason in rejected[:3])
        raise ValueError(
            f"{index.data_set}: expected at most {MAX_REJECTED_SHARE:.0%} unfit "
            f"records, found {len(rejected)} of {total} ({counts}; first: {examples}); "
            "check that the download is whole"
        )
