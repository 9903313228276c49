"""Builds a folder of shards from an index of raw records, in parallel."""

import csv
import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from data_prep import (
    atomic_folder,
    build_progress,
    dask_cluster,
    readers,
    shard_writer,
    workers,
)
from mrm_jax.data import manifest as manifests
from mrm_jax.data import shards
from mrm_jax.runtime import console, json_files, text

MAX_SKIPPED_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Index:
    """The records and labels of a data set, from its tables alone."""

    data_set: str
    version: str
    names: Sequence[str]  # [record]
    paths: Sequence[Path]  # [record], arguments of readers.Reading.read
    folds: np.ndarray  # [record], 1 to 10
    tables: dict[str, shard_writer.LabelTable]  # label set -> its labels
    sources: dict[str, str]  # label table -> SHA-256
    skipped: Sequence[tuple[str, str]] = ()  # name, reason: known from the tables alone

    def __post_init__(self) -> None:
        """Checks the names, before any record is read.

        Raises:
            ValueError: if a name is empty or contains control characters, or one of a
                label set contains a slash.
        """
        text.check_name("data set", self.data_set)
        text.check_name("version of the data set", self.version)
        for name in self.names:
            text.check_name("record", name)
        for label_set, table in self.tables.items():
            text.check_name("label set", label_set)
            if re.search(r"[/\\]", label_set):  # it is part of the names of files
                raise ValueError(f"label set {label_set!r}: expected no / and no \\.")
            for label in table.labels:
                text.check_name("label", label)


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

    A finished build of the same data at `out_dir` is kept. An interrupted one goes on
    after its last finished shard.

    Args:
        index: the records.
        reading: how each record is read and converted.
        out_dir: folder to create.
        strict: whether to raise an error at the first record that must be skipped.
        jobs: largest number of reading processes; -1: one per core.
        cluster: Dask cluster that reads instead of local processes.

    Raises:
        ValueError: if `out_dir` holds something else or another build is writing it, if
            a record must be skipped in strict mode, or more than a tenth of them, or if
            a worker of the cluster reads other data than this process.
    """
    manifest = finished(index, reading, out_dir)
    if manifest is not None:
        return manifest
    if cluster is not None:
        readers.check(cluster, index.paths, reading)
    with atomic_folder.building(out_dir, resume=True) as folder:
        pool = cluster or readers.processes(len(index.paths), jobs)
        return _write(index, reading, folder, strict=strict, pool=pool)


def finished(
    index: Index, reading: readers.Reading, out_dir: Path
) -> manifests.Manifest | None:
    """Returns the manifest of a finished build of the same data, or None.

    Raises:
        ValueError: if `out_dir` holds anything else.
    """
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return None
    advice = "Choose another --out, or delete this folder."
    if not out_dir.is_dir() or not (out_dir / manifests.MANIFEST).is_file():
        raise ValueError(
            f"{out_dir}: expected nothing or a finished build, found other files. "
            f"{advice}"
        )
    try:
        manifest = shards.load(out_dir).manifest
    except ValueError as error:
        raise ValueError(f"{error} {advice}") from None
    facts = _facts(index, reading) | {"num_samples": reading.num_samples}
    for field, expected in facts.items():
        found = getattr(manifest, field)
        if found != expected:
            raise ValueError(
                f"{out_dir} holds a finished build with another {field}: "
                f"expected {expected}, found {found}. {advice}"
            )
    path = out_dir / shard_writer.READING
    if path.is_file():  # older builds have none
        options = _options(reading)
        if (found := json_files.load(path, advice)) != options:
            raise ValueError(
                f"{out_dir} holds a finished build whose records were read in another "
                f"way: expected {options}, found {found}. {advice}"
            )
    return manifest


def count_reasons(out_dir: Path) -> dict[str, int]:
    """Returns the reasons for which records were skipped, most frequent first."""
    with (out_dir / shard_writer.SKIPPED).open(newline="") as file:
        return _count([row["reason"] for row in csv.DictReader(file)])


def count_notes(out_dir: Path) -> dict[str, int]:
    """Returns the notes on records, most frequent first; {} for older builds."""
    path = out_dir / shard_writer.NOTES
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return _count([row["note"] for row in csv.DictReader(file)])


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
    _check_strict(index, index.skipped, strict)
    writer = shard_writer.Writer(folder, reading.num_samples, shard_writer.SHARD_BYTES)
    progress = _resume(index, reading, folder)
    writer.resume(progress.shards)
    try:
        read = _read(index, reading, writer, progress, strict=strict, pool=pool)
        skipped = [*index.skipped, *_named(index, read.skipped)]
        _check_share(index, skipped)
    except BaseException:
        if not progress.shards:
            progress.discard()
        raise
    rows = np.array(read.kept, np.int64)
    tables = {name: _select(table, rows) for name, table in index.tables.items()}
    writer.write_notes(_named(index, read.notes))
    facts = _facts(index, reading)
    names = [index.names[row] for row in rows]
    writer.write_reading(_options(reading))
    manifest = writer.finish(names, index.folds[rows], tables, skipped, facts)
    progress.remove_files()
    return manifest


def _read(
    index: Index,
    reading: readers.Reading,
    writer: shard_writer.Writer,
    progress: build_progress.Progress,
    *,
    strict: bool,
    pool: workers.Workers,
) -> build_progress.Part:
    """Reads the records that are left, and returns what became of all."""
    _check_strict(index, _named(index, progress.done.skipped), strict)
    start = progress.done.end
    rest = readers.read_all(index.paths[start:], reading, pool)
    for row, result in enumerate(rest, start):
        if isinstance(result, str):
            progress.skip(row, result)
            _check_strict(index, [(index.names[row], result)], strict)
        else:
            progress.keep(row, result.notes)
            shard = writer.add(result.signal_uv)
            if shard is not None:
                progress.finish_shard(shard)
    return progress.finish()


def _resume(
    index: Index, reading: readers.Reading, folder: Path
) -> build_progress.Progress:
    """Returns the progress of an earlier, interrupted build of the same records."""

    def is_valid(part: build_progress.Part, signals_uv: np.ndarray) -> bool:
        """Reads the first record and those that were skipped again."""
        first = readers.read_one(index.paths[part.kept[0]], reading)
        return (
            len(signals_uv) == len(part.kept)
            and isinstance(first, readers.Converted)
            and np.array_equal(first.signal_uv, signals_uv[0])
            and all(
                isinstance(readers.read_one(index.paths[row], reading), str)
                for row, _ in part.skipped
            )
        )

    progress = build_progress.Progress(folder, index.paths, _identity(index, reading))
    progress.resume(is_valid)
    if progress.shards:
        console.say(
            f"going on after {progress.done.end:,} records, which an interrupted "
            f"build has prepared (to prepare them again, delete {folder})"
        )
    return progress


def _identity(index: Index, reading: readers.Reading) -> dict[str, object]:
    """Returns what determines the bytes of the shards, as JSON."""
    records = hashlib.sha256()
    for name, path in zip(index.names, index.paths, strict=True):
        records.update(f"{name} {path.absolute()}\n".encode())
    return _facts(index, reading) | {
        "records": records.hexdigest(),
        "num_samples": reading.num_samples,
        **_options(reading),
        "shard_bytes": shard_writer.SHARD_BYTES,
    }


def _options(reading: readers.Reading) -> dict[str, object]:
    """Returns what determines the signals, beside what the manifest says, as JSON."""
    return {"source_rate": reading.source_rate, "options": reading.options}


def _named(index: Index, rows: Iterable[tuple[int, str]]) -> list[tuple[str, str]]:
    """Returns remarks about rows of the index with the names of the records."""
    return [(index.names[row], remark) for row, remark in rows]


def _facts(index: Index, reading: readers.Reading) -> dict[str, object]:
    """Returns the fields of the manifest that identify a build."""
    return {
        "data_set": index.data_set,
        "data_set_version": index.version,
        "sampling_rate": reading.sampling_rate,
        "length_policy": reading.length_policy,
        "sources": dict(index.sources),
    }


def _select(
    table: shard_writer.LabelTable, rows: np.ndarray
) -> shard_writer.LabelTable:
    first = None if table.first_label is None else table.first_label[rows]
    return dataclasses.replace(table, matrix=table.matrix[rows], first_label=first)


def _check_strict(
    index: Index, skipped: Sequence[tuple[str, str]], strict: bool
) -> None:
    if strict and skipped:
        name, reason = skipped[-1]
        raise ValueError(
            f"{index.data_set} record {name}: {reason}. Repair the record, or omit "
            "--strict to skip it."
        )


def _check_share(index: Index, skipped: Sequence[tuple[str, str]]) -> None:
    total = len(index.names) + len(index.skipped)
    if len(skipped) > MAX_SKIPPED_SHARE * total or len(skipped) == total:
        reasons = _count(reason for _, reason in skipped)
        counts = ", ".join(f"{count} {what}" for what, count in reasons.items())
        examples = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3])
        raise ValueError(
            f"{index.data_set}: at most {MAX_SKIPPED_SHARE:.0%} of the records may be "
            f"skipped, found {len(skipped)} of {total} ({counts}; first: {examples}). "
            "Repair these records, or check that the download is complete."
        )
