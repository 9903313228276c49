"""The shard format: int16 microvolts in bounded .npy files beside a JSON manifest.

A folder of shards holds

    manifest.json            description of the data; written last
    names.npy                [record], text
    folds.npy                [record], int8, 1 to 10
    signals-00000.npy ...    [record, time, lead], int16, microvolts
    labels-SET.npy           [record, label], uint8, 0 or 1
    first_label-SET.npy      [record], int16, -1 if unknown; not in all data sets
    rejected.csv             records skipped in preparation, with the reason

No file is pickled, so a folder from an untrusted source is safe to load.
"""

import copy
import dataclasses
import errno
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax.data import leads, splits, verification
from mrm_jax.data import manifest as manifests


@dataclasses.dataclass(frozen=True)
class Split:
    """The records of one split in one label set."""

    rows: np.ndarray  # [record], int64, indices into the shards
    names: np.ndarray  # [record], text
    labels: np.ndarray  # [record, label], uint8
    first_label: np.ndarray | None  # [record], int16

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self.rows)


@dataclasses.dataclass(frozen=True)
class LabelledRecords:
    """A label set that is not stored in the folder."""

    matrix: np.ndarray  # [record, label], uint8
    used: np.ndarray  # [record], whether it belongs to the set


class Shards:
    """An open folder of shards; signals are read from disk when requested."""

    def __init__(self, folder: Path, manifest: manifests.Manifest):
        """Opens the arrays of `folder` and checks them against the manifest."""
        self.folder = folder
        self.manifest = manifest
        self.names = _load_array(folder, "names.npy")
        self.folds = _load_array(folder, "folds.npy")
        self._signals = [
            _load_array(folder, name, mmap_mode="r") for name in _signal_files(manifest)
        ]
        self._columns: Any = slice(None)  # leads that are read
        self._derived: LabelledRecords | None = (
            None  # in place of the label sets on disk
        )
        self._starts = np.cumsum([0, *(len(part) for part in self._signals)])
        self._check_arrays()
        self._verification = verification.Verification(
            {folder / name: manifest.files[name] for name in _signal_files(manifest)}
        )

    def start_verifying(self) -> None:
        """Starts comparing the signals with their hashes in the background."""
        self._verification.start()

    def require_intact(self) -> None:
        """Waits until the signals have been compared with their hashes, once.

        Raises:
            ValueError: if a file of signals differs from its SHA-256 in the manifest.
        """
        self._verification.finish()

    def label_set(self, name: str) -> manifests.LabelSet:
        """Returns the manifest's entry of a label set.

        Raises:
            ValueError: if there is no such set.
        """
        return _require(name, self.manifest.label_sets, "label set", self.folder)

    def label_set_of(self, labels: Sequence[str]) -> str:
        """Returns the name of the label set with these labels in this order.

        Raises:
            ValueError: if there is none; lists the labels of all sets.
        """
        known = self.manifest.label_sets
        for name, label_set in known.items():
            if label_set.labels == tuple(labels):
                return name
        same = [
            n for n, known_set in known.items() if set(known_set.labels) == set(labels)
        ]
        hint = f"; {same[0]} has them in another order" if same else ""
        listed = "\n  ".join(f"{n}: {', '.join(s.labels)}" for n, s in known.items())
        raise ValueError(
            f"{self.folder} has no label set with the labels {', '.join(labels)}"
            f"{hint}. It has\n  {listed}"
        )

    def split(self, label_set: str, split: str) -> Split:
        """Returns the records of `split`, or all of them, in `label_set`.

        Raises:
            ValueError: if the folder has no such label set or split.
        """
        known = self.manifest.split_folds | {splits.ALL: splits.FOLDS}
        folds = _require(split, known, "split", self.folder)
        matrix = self.label_matrix(label_set)
        rows = self.rows_by_split(label_set, {split: folds})[split]
        first = None
        if self.manifest.label_sets[label_set].has_first_label:
            first = _load_array(self.folder, f"first_label-{label_set}.npy")[rows]
        return Split(rows, self.names[rows], matrix[rows], first)

    def rows_by_split(
        self, label_set: str, split_folds: Mapping[str, Sequence[int]]
    ) -> dict[str, np.ndarray]:
        """Returns the records of a label set in each split, as indices.

        Raises:
            ValueError: if the folder has no such label set.
        """
        entry, matrix = self.label_set(label_set), self.label_matrix(label_set)
        rows = splits.rows_by_split(
            matrix, self.folds, split_folds, entry.with_negatives
        )
        if self._derived is None:
            return rows
        return {name: own[self._derived.used[own]] for name, own in rows.items()}

    def derived(
        self, manifest: manifests.Manifest, label_set: LabelledRecords | None = None
    ) -> "Shards":
        """Returns these shards with another manifest, for `derived_shards`.

        Args:
            manifest: the manifest.
            label_set: the labels of its only label set. Default: those on disk.
        """
        found = copy.copy(self)
        found.manifest = manifest
        found._derived = label_set or self._derived
        if manifest.leads != self.manifest.leads:
            found._columns = [leads.LEADS.index(name) for name in manifest.leads]
        return found

    def signals_uv(self, rows: np.ndarray) -> np.ndarray:
        """Returns signals [row, time, lead] in int16 microvolts, ordered as rows."""
        manifest = self.manifest
        shape = (len(rows), manifest.num_samples, len(manifest.leads))
        signals = np.empty(shape, np.int16)
        part_of = np.searchsorted(self._starts, rows, side="right") - 1
        for part in np.unique(part_of):
            here = part_of == part
            read = self._signals[part][rows[here] - self._starts[part]]
            signals[here] = read[..., self._columns]
        return signals

    def label_matrix(self, label_set: str) -> np.ndarray:
        """Returns the labels of all records, [record, label], uint8.

        Raises:
            ValueError: if the folder has no such label set.
        """
        self.label_set(label_set)
        if self._derived is not None:
            return self._derived.matrix
        return _load_array(self.folder, f"labels-{label_set}.npy")

    def _check_arrays(self) -> None:
        num_records = self.manifest.num_records
        found = (self.manifest.leads, self.manifest.unit)
        if found != (leads.LEADS, manifests.UNIT):
            raise ValueError(
                f"{self.folder}: expected leads {leads.LEADS} in {manifests.UNIT}, "
                f"found {found}. Build the shards again."
            )
        tail = (self.manifest.num_samples, len(self.manifest.leads))
        self._check("names.npy", self.names, (num_records,))
        strange = [name for name in self.names.tolist() if not name.isprintable()]
        if strange:
            raise ValueError(
                f"{self.folder / 'names.npy'}: control characters in the name "
                f"{strange[0]!r}. Build the shards again."
            )
        self._check("folds.npy", self.folds, (num_records,), np.int8)
        self._check_range("folds.npy", self.folds, 1, 10)
        for name, part in zip(_signal_files(self.manifest), self._signals, strict=True):
            self._check(name, part, (len(part), *tail), np.int16)
        if self._starts[-1] != num_records:
            raise ValueError(
                f"{self.folder}: expected {num_records} records in signals-*.npy, "
                f"found {self._starts[-1]}. Build the shards again."
            )
        for name, label_set in self.manifest.label_sets.items():
            shape = (num_records, len(label_set.labels))
            matrix = self.label_matrix(name)
            self._check(f"labels-{name}.npy", matrix, shape, np.uint8)
            self._check_range(f"labels-{name}.npy", matrix, 0, 1)
            if label_set.has_first_label:
                file = f"first_label-{name}.npy"
                first = _load_array(self.folder, file)
                self._check(file, first, (num_records,), np.int16)
                self._check_range(file, first, -1, len(label_set.labels) - 1)

    def _check_range(self, name: str, array: np.ndarray, low: int, high: int) -> None:
        wrong = array[(array < low) | (array > high)]
        if wrong.size:
            raise ValueError(
                f"{self.folder / name}: expected {low} to {high}, found {wrong[0]}. "
                "Build the shards again."
            )

    def _check(
        self,
        name: str,
        array: np.ndarray,
        shape: tuple[int, ...],
        dtype: Any = np.str_,
    ) -> None:
        if array.shape != shape or not np.issubdtype(array.dtype, dtype):
            raise ValueError(
                f"{self.folder / name}: expected {np.dtype(dtype).name} {shape}, "
                f"found {array.dtype} {array.shape}. Build the shards again."
            )


def load(folder: Path | str, *, verify_hashes: bool = False) -> Shards:
    """Opens a folder of shards.

    All files but the signals are compared with the hashes in the manifest. The signals
    are compared in the background when a split is loaded, see `Shards.require_intact`.

    Args:
        folder: folder written by a command of data_prep.
        verify_hashes: whether to compare the signals too, before this returns.

    Raises:
        ValueError: if the folder is incomplete, has another format version, or holds
            files that do not match the manifest.
    """
    folder = Path(folder)
    manifest = manifests.read(folder)
    missing = [name for name in manifest.files if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{folder}: missing {missing}. Build the shards again.")
    opened = Shards(folder, manifest)
    signals = set(_signal_files(manifest))
    small = {
        folder / name: expected
        for name, expected in manifest.files.items()
        if name not in signals and name.endswith(".npy")
    }
    damage = verification.damaged(small)
    if damage is not None:
        raise ValueError(f"{damage}.")
    if verify_hashes:
        opened.require_intact()
    return opened


def _signal_files(manifest: manifests.Manifest) -> Iterator[str]:
    return (name for name in sorted(manifest.files) if name.startswith("signals-"))


def _load_array(folder: Path, name: str, mmap_mode: Any = None) -> np.ndarray:
    try:
        return np.load(folder / name, mmap_mode=mmap_mode, allow_pickle=False)
    except Exception as error:  # NumPy raises almost anything for damaged headers
        advice = "Build the shards again."
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            advice = "All shards stay open: allow more open files (ulimit -n 65536)."
        raise ValueError(f"{folder / name}: unreadable ({error}). {advice}") from None


def _require(key: str, known: Mapping[str, Any], what: str, folder: Path) -> Any:
    if key not in known:
        raise ValueError(f"{folder} has no {what} {key!r}. It has {', '.join(known)}.")
    return known[key]
