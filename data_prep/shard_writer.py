"""Writes folders of shards, one record at a time."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep import build_progress
from mrm_jax.data import leads, splits
from mrm_jax.data import manifest as manifests
from mrm_jax.runtime import text

SHARD_BYTES = 64 * 2**20
NOTES = "notes.csv"
SKIPPED = "rejected.csv"  # the name in existing folders
# How the records were read. It is not among the files of the manifest, which identify
# the data of a run: shards of earlier versions have no such file.
READING = "reading.json"


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """The labels of all records in one label set."""

    labels: tuple[str, ...]
    descriptions: tuple[str, ...]  # [label], plain text, with the source's code
    matrix: np.ndarray  # [record, label], uint8
    first_label: np.ndarray | None = None  # [record], int16, -1 if unknown
    with_negatives: bool = False  # use records without any label, as negatives


class Writer:
    """Writes a new folder of shards, with at most one shard of signals in memory."""

    def __init__(self, folder: Path, num_samples: int, shard_bytes: int):
        """Starts a folder, which must exist and be empty, unless it is resumed."""
        self.folder = folder
        self._num_samples = num_samples
        record_bytes = num_samples * len(leads.LEADS) * np.dtype(np.int16).itemsize
        capacity = max(1, shard_bytes // record_bytes)
        self._buffer = np.empty((capacity, num_samples, len(leads.LEADS)), np.int16)
        self._filled = 0
        self._num_shards = 0
        self._sums: list[int] = []
        self._square_sums: list[int] = []

    def resume(self, shards: Sequence[Path]) -> None:
        """Takes over finished shards of the folder, before the first call of `add`."""
        for shard in shards:
            for signal_uv in np.load(shard, mmap_mode="r"):
                self._add_sums(signal_uv)
        self._num_shards = len(shards)

    def add(self, signal_uv: np.ndarray) -> Path | None:
        """Appends one record [time, lead] in int16 microvolts.

        Returns:
            The file of a shard that this record has filled.
        """
        if signal_uv.dtype != np.int16 or signal_uv.shape != self._buffer.shape[1:]:
            raise ValueError(
                f"expected int16 {self._buffer.shape[1:]}, "
                f"found {signal_uv.dtype} {signal_uv.shape}"
            )
        self._add_sums(signal_uv)
        self._buffer[self._filled] = signal_uv
        self._filled += 1
        return self._flush() if self._filled == len(self._buffer) else None

    def write_notes(self, notes: Sequence[tuple[str, str]]) -> None:
        """Writes name and note of each doubt about a record, before `finish`."""
        with (self.folder / NOTES).open("w", newline="", encoding="utf-8") as file:
            text.write_rows(file, [("record", "note"), *notes])

    def write_reading(self, options: Mapping[str, Any]) -> None:
        """Writes how the records were read, as JSON, before `finish`."""
        (self.folder / READING).write_text(json.dumps(options, indent=1) + "\n")

    def finish(
        self,
        names: Sequence[str],
        folds: np.ndarray,
        tables: Mapping[str, LabelTable],
        skipped: Sequence[tuple[str, str]],
        facts: Mapping[str, Any],
    ) -> manifests.Manifest:
        """Writes labels, names, folds and, last, the manifest.

        Args:
            names: [record], in the order of the calls of `add`.
            folds: [record], 1 to 10.
            tables: label sets, whose matrices have one row for each added record.
            skipped: name and reason of each skipped record.
            facts: data_set, data_set_version, sampling_rate, length_policy, sources.
        """
        if self._filled:
            self._flush()
        _save(self.folder / "names.npy", np.asarray(names, dtype=np.str_))
        _save(self.folder / "folds.npy", folds.astype(np.int8))
        for name, table in tables.items():
            _save(self.folder / f"labels-{name}.npy", table.matrix.astype(np.uint8))
            if table.first_label is not None:
                first = table.first_label.astype(np.int16)
                _save(self.folder / f"first_label-{name}.npy", first)
        with (self.folder / SKIPPED).open("w", newline="", encoding="utf-8") as file:
            text.write_rows(file, [("record", "reason"), *skipped])
        manifest = manifests.Manifest(
            num_samples=self._num_samples,
            num_records=len(names),
            num_skipped=len(skipped),
            label_sets={
                name: self._describe(table, folds) for name, table in tables.items()
            },
            files={
                path.name: manifests.sha256(path)
                for path in sorted(self.folder.iterdir())
                if path.name != READING
                and not path.name.startswith(build_progress.PREFIX)
            },
            **facts,
        )
        manifests.write(manifest, self.folder)
        return manifest

    def _add_sums(self, signal_uv: np.ndarray) -> None:
        wide = signal_uv.astype(np.int64)
        self._sums.append(int(wide.sum()))
        self._square_sums.append(int((wide * wide).sum()))

    def _flush(self) -> Path:
        """Writes the records that are in memory, and returns their file."""
        path = self.folder / f"signals-{self._num_shards:05d}.npy"
        _save(path, self._buffer[: self._filled])
        self._num_shards += 1
        self._filled = 0
        return path

    def _describe(self, table: LabelTable, folds: np.ndarray) -> manifests.LabelSet:
        rows = splits.rows_by_split(
            table.matrix, folds, manifests.SPLIT_FOLDS, table.with_negatives
        )
        mean, std = self._mean_std(rows["train"])
        entry = manifests.LabelSet(
            labels=table.labels,
            descriptions=table.descriptions,
            mean_uv=mean,
            std_uv=std,
            records={},
            label_counts={},
            has_first_label=table.first_label is not None,
            with_negatives=table.with_negatives,
        )
        return entry.with_counts(table.matrix, rows)

    def _mean_std(self, rows: np.ndarray) -> tuple[float, float]:
        """Returns mean and population standard deviation of the given records."""
        return splits.mean_std(
            sum(self._sums[row] for row in rows),
            sum(self._square_sums[row] for row in rows),
            len(rows) * self._num_samples * len(leads.LEADS),
        )


def _save(path: Path, array: np.ndarray) -> None:
    """Writes an array; NumPy's own error of a full disk does not say so."""
    try:
        np.save(path, array)
    except OSError as error:
        if error.errno is not None:
            raise
        raise OSError(
            f"{path}: could not be written whole ({error}). Is there space left on the "
            "device?"
        ) from None
