"""Assigns patients to ten folds with similar label frequencies, and stores the folds.

The assignment is iterative stratification with whole patients: the rarest label comes
first, and each of its patients goes to the fold that lacks most records of it.

References:
    Sechidis, Tsoumakas, Vlahavas, 2011, doi 10.1007/978-3-642-23808-6_10.
"""

import contextlib
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep import csv_tables
from mrm_jax.data import splits
from mrm_jax.runtime import atomic, console, locks

SUFFIX = ".folds.csv"
# Decides between folds that lack equally much; the largest number is taken. A label of
# few patients is in training first, then in the test fold and in validation.
_PREFERENCE = np.array([9, 6, 5, 4, 3, 2, 1, 0, 7, 8])  # of folds 1 to 10
COLUMNS = {"record": csv_tables.text, "fold": csv_tables.whole_number(1, 10)}


def stratify(
    matrix: np.ndarray,
    patients: np.ndarray,
    frozen: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns the fold of each record, [record], 1 to 10.

    Args:
        matrix: [record, label], 0 or 1.
        patients: [record], whole numbers from 0 that identify patients. The records of
            one patient get the same fold, except where frozen ones differ.
        frozen: [record], folds that are kept, 0 where there is none. Other records of
            these patients join them, in the highest of their folds.
        seed: seed of the order in which patients with the same labels are assigned.
    """
    num_patients = int(patients.max()) + 1
    sizes = np.bincount(patients)
    counts = np.stack(
        [
            np.bincount(patients[column > 0], minlength=num_patients)
            for column in matrix.T
        ],
        axis=1,
    )  # [patient, label]
    folds = np.zeros(num_patients, np.int8)
    if frozen is not None:
        np.maximum.at(folds, patients, frozen.astype(np.int8))
    room = _Room(sizes, counts, folds)
    order = np.random.default_rng(seed).permutation(num_patients)
    for patient, label in _by_rarity(counts, order[folds[order] == 0]):
        folds[patient] = room.take(sizes[patient], counts[patient], label)
    found = folds[patients]
    return found if frozen is None else np.where(frozen > 0, frozen, found)


class _Room:
    """What each fold still lacks of a tenth of all records and of each label."""

    def __init__(self, sizes: np.ndarray, counts: np.ndarray, folds: np.ndarray):
        """Starts with the patients that have a fold already."""
        num_folds = len(splits.FOLDS)
        self._records = np.full(num_folds, sizes.sum() / num_folds)
        self._labels = np.tile(counts.sum(axis=0) / num_folds, (num_folds, 1))
        for place, fold in enumerate(splits.FOLDS):
            here = folds == fold
            self._records[place] -= sizes[here].sum()
            self._labels[place] -= counts[here].sum(axis=0)

    def take(self, size: int, counts: np.ndarray, label: int | None) -> int:
        """Assigns a patient and returns the fold, from 1.

        Args:
            size: number of the patient's records.
            counts: [label], how many of them have each label.
            label: the label to balance; None: the numbers of records alone.
        """
        lacks = self._records if label is None else self._labels[:, label]
        place = np.lexsort((_PREFERENCE, self._records, lacks))[-1]
        self._records[place] -= size
        self._labels[place] -= counts
        return splits.FOLDS[place]


def _by_rarity(
    counts: np.ndarray, order: np.ndarray
) -> Iterator[tuple[int, int | None]]:
    """Yields each patient with the rarest label it has, the rarest label first.

    Patients with many records of a label come first, while there is a choice of folds.
    Those without any label are last, with None.
    """
    left = order
    while len(left):
        totals = counts[left].sum(axis=0)
        if not totals.any():
            break
        label = int(np.where(totals > 0, totals, totals.max() + 1).argmin())
        has = counts[left, label] > 0
        own = left[has]
        for patient in own[np.argsort(-counts[own, label], kind="stable")]:
            yield patient, label
        left = left[~has]
    for patient in left:
        yield patient, None


def read(path: Path) -> dict[str, int]:
    """Returns the fold of each record.

    Raises:
        ValueError: if the file is missing, lacks a column, or has an invalid row.
    """
    rows = read_rows(path)
    for row in rows:
        if row.reason:
            raise ValueError(f"{path}: {row.reason}")
    return {row.key: row.values["fold"] for row in rows if row.values}


def read_rows(path: Path) -> list[csv_tables.Row]:
    """Returns the rows of a table of folds, also invalid ones.

    Raises:
        ValueError: if the file is missing or lacks a column.
    """
    try:
        return csv_tables.read(path, "record", COLUMNS)
    except FileNotFoundError:
        raise ValueError(
            f"{path} was not found. It is a CSV file with the columns record and fold."
        ) from None


def write(path: Path, folds: Mapping[str, int]) -> None:
    """Writes the fold of each record to a table that `read` reads."""
    with (
        atomic.replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(
            [tuple(COLUMNS), *folds.items()]
        )


def file_beside(out_dir: Path) -> Path:
    """Returns the file that freezes the folds of a folder of shards."""
    return out_dir.with_name(f"{out_dir.name}{SUFFIX}")


def frozen(
    path: Path,
    names: Sequence[str],
    matrix: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    seed: int = 0,
    save: bool = True,
) -> np.ndarray:
    """Returns the fold of each record, and stores the new ones.

    Args:
        path: table of folds, which need not exist. Its records keep their folds.
        names: [record].
        matrix: [record, label], 0 or 1.
        patients: [record], names of the patients.
        seed: as in `stratify`.
        save: whether to write the table if there are new records.

    Raises:
        ValueError: if the table is invalid, or another process is writing it.
    """
    if save:
        path.parent.mkdir(parents=True, exist_ok=True)
    with locks.writing_file(path) if save else contextlib.nullcontext():
        fold_of = read(path) if path.is_file() else {}
        known = np.array([fold_of.get(name, 0) for name in names], np.int8)
        found = stratify(matrix, of_patients(patients), known, seed)
        num_new = int(np.sum(known == 0))
        if num_new and save:
            write(path, fold_of | dict(zip(names, found.tolist(), strict=True)))
    num_known = len(names) - num_new
    known_ones = f"{num_known:,} records keep theirs, " if num_known else ""
    console.say(f"folds: {known_ones}{num_new:,} new records -> {path}")
    return found


def of_patients(names: Sequence[str] | np.ndarray) -> np.ndarray:
    """Returns a number from 0 for each different name, [record]."""
    return np.unique(np.asarray(names), return_inverse=True)[1]
