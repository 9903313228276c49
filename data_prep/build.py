"""Turns an index of raw records into a folder of shards, in parallel."""

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from data_prep import atomic_folder, dask_cluster, readers, shard_writer, workers
from mrm_jax.data import manifest as manifests
from mrm_jax.data import shards

MAX_REJECTED_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Index:
    """What a data set's tables say, before any signal was read."""

    data_set: str
    version: str
    names: Sequence[str]  # [record]
    paths: Sequence[Path]  # [record], what readers.Reading.read takes
    folds: np.ndarray  # [record], 1 to 10
    tables: dict[str, shard_writer.LabelTable]  # label set -> its labels
    sources: dict[str, str]  # label table -> SHA-256
    rejected: Sequence[tuple[str, str]] = ()  # name, reason: unfit by the tables alone


def build(
    index: Index,
    reading: readers.Reading,
    out_dir: Path,
    *,
    strict: bool = False,
    jobs: int = -1,
    cluster: dask_cluster.Cluster | None = None,
) -> manifests.Manifest:
    """Writes the records of `index` as shards and returns their manifest.

    A finished build of the same data at `out_dir` is left as it is.

    Args:
        index: the records.
        reading: what is done to each of them.
        out_dir: the folder to make.
        strict: make the first unfit record an error.
        jobs: processes that read, at most; -1 for one per core.
        cluster: reads in their place.

    Raises:
        ValueError: if `out_dir` holds something else, another build is writing it, an
            unfit record is met in strict mode, more than a tenth are unfit, or a worker
            of the cluster does not read what this process reads.
    """
    manifest = finished(index, reading, out_dir)
    if manifest is not None:
        return manifest
    if cluster is not None:
        readers.check(cluster, index.paths, reading)
    with atomic_folder.building(out_dir) as folder:
        pool = cluster or readers.processes(len(index.paths), jobs)
        return _write(index, reading, folder, strict=strict, pool=pool)


def finished(
    index: Index, reading: readers.Reading, out_dir: Path
) -> manifests.Manifest | None:
    """Returns the manifest of a finished build of the same data, None if there is none.

    Raises:
        ValueError: if `out_dir` holds anything else.
    """
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return None
    way_out = "choose another --out, or delete this one"
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
    index: Index,
    reading: readers.Reading,
    folder: Path,
    *,
    strict: bool,
    pool: workers.Workers,
) -> manifests.Manifest:
    writer = shard_writer.Writer(folder, reading.num_samples, shard_writer.SHARD_BYTES)
    kept: list[int] = []
    rejected = list(index.rejected)
    _refuse(index, rejected, strict)
    for row, result in enumerate(readers.read_all(index.paths, reading, pool)):
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


def _facts(index: Index, reading: readers.Reading) -> dict[str, object]:
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
