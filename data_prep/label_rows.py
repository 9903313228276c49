"""Parses the rows of a table of labels into arrays, and names its invalid rows."""

import array
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from data_prep import label_columns, label_table
from mrm_jax.data import manifest, splits

SPLITS = {"train": 1, "training": 1, "val": 9, "valid": 9, "validation": 9, "dev": 9}
SPLITS |= {"test": 10}
_FOLDS = {f"{fold}{end}": fold for fold in splits.FOLDS for end in ("", ".0")} | SPLITS
_MISSING = ("", "nan", "none", "null", "na")


@dataclasses.dataclass
class Parsed:
    """The valid rows of a table, and the others by line and reason."""

    names: list[str]
    labels: tuple[str, ...]
    matrix: np.ndarray  # [record, label], uint8
    patients: np.ndarray | None  # [record], text
    folds: np.ndarray | None  # [record], int8
    problems: list[tuple[str, str]]  # record or line, reason
    num_empty: int  # cells of 0 and 1 without content, taken for 0


def parse(table: label_table.Table, columns: label_columns.Columns) -> Parsed:
    """Returns the rows of a table.

    Raises:
        ValueError: if two rows of a record contradict each other, or no row is valid.
    """
    collector = _Collector(table, columns)
    for line, cells in table.rows():
        collector.add(line, cells)
    return collector.finish()


class _Collector:
    """Rows that were read so far, in as little memory as their number allows."""

    def __init__(self, table: label_table.Table, columns: label_columns.Columns):
        self._table = table
        self._columns = columns
        self._place = {name: i for i, name in enumerate(table.columns)}
        self._flags = [(name, self._place[name]) for name in columns.flags]
        self._line_of: dict[str, int] = {}  # record -> its line
        self._content: dict[str, int] = {}  # record -> hash of the cells that are used
        self._labels: dict[str, int] = dict.fromkeys(columns.flags, 0)
        self._labels = {name: place for place, name in enumerate(self._labels)}
        self._positive = array.array("i")  # row and label of each 1, in turn
        self._patients: list[str] = []
        self._folds = array.array("b")
        self._problems: list[tuple[str, str]] = []
        self._num_empty = 0

    def add(self, line: int, cells: Sequence[str]) -> None:
        """Adds a row, or the problem that it has.

        Raises:
            ValueError: if an earlier row says something else about the same record.
        """
        name = ""
        try:
            self._check_width(cells)
            name = self._cell(cells, self._columns.record)
            patient = fold = None
            if self._columns.patient:
                patient = self._cell(cells, self._columns.patient)
            if self._columns.fold:
                fold = self._fold(cells)
            found = self._found(cells)
        except ValueError as error:
            self._reject(name, line, str(error))
            return
        content = hash((patient, fold, *sorted(found)))
        if name in self._line_of:
            self._check_repetition(name, line, content)
            return
        row = len(self._line_of)
        self._line_of[name] = line
        self._content[name] = content
        for label in found:
            self._positive.extend((row, label))
        if patient is not None:
            self._patients.append(patient)
        if fold is not None:
            self._folds.append(fold)

    def _reject(self, name: str, line: int, why: str) -> None:
        reason = f"invalid row: {self._table.path.name}, line {line}, {why}"
        self._problems.append((name or f"line {line}", reason))

    def _check_repetition(self, name: str, line: int, content: int) -> None:
        """Skips a row like an earlier one of its record; raises if it differs."""
        first = self._line_of[name]
        if content != self._content[name]:
            raise ValueError(
                f"{self._table.path}: record {name!r} has other labels, or another "
                f"patient or fold, in line {line} than in line {first}. Write one row "
                "for each record, with all of its labels, such as AF;RBBB."
            )
        self._reject(name, line, f"record {name!r} is in line {first} already")

    def finish(self) -> Parsed:
        """Returns all rows."""
        if not self._line_of:
            reason = self._problems[0][1] if self._problems else "there is no row"
            raise ValueError(f"{self._table.path}: no row is valid ({reason})")
        matrix = np.zeros((len(self._line_of), len(self._labels)), np.uint8)
        places = np.asarray(self._positive, np.int64).reshape(-1, 2)
        matrix[places[:, 0], places[:, 1]] = 1
        labels = list(self._labels)
        order = list(range(len(labels)))
        if self._columns.labels:  # columns keep the order of the table
            order.sort(key=labels.__getitem__)
        return Parsed(
            names=list(self._line_of),
            labels=tuple(labels[place] for place in order),
            matrix=matrix[:, order],
            patients=np.array(self._patients) if self._columns.patient else None,
            folds=np.array(self._folds, np.int8) if self._columns.fold else None,
            problems=self._problems,
            num_empty=self._num_empty,
        )

    def _check_width(self, cells: Sequence[str]) -> None:
        if len(cells) != len(self._place):
            raise ValueError(f"expected {len(self._place)} cells, found {len(cells)}")

    def _cell(self, cells: Sequence[str], column: str | None) -> str:
        cell = cells[self._place[column or ""]]
        if cell.lower() in _MISSING or not cell.isprintable():
            raise ValueError(f"column {column!r}: expected a name, found {cell!r}")
        return cell

    def _fold(self, cells: Sequence[str]) -> int:
        cell = cells[self._place[self._columns.fold or ""]].lower()
        if cell not in _FOLDS:
            raise ValueError(
                f"column {self._columns.fold!r}: expected 1 to 10, or train, val or "
                f"test, found {cell!r}"
            )
        return _FOLDS[cell]

    def _found(self, cells: Sequence[str]) -> list[int]:
        """Returns the labels of a row, as places in the matrix."""
        if self._columns.labels:
            cell = cells[self._place[self._columns.labels]]
            cell = "" if cell.lower() in _MISSING else cell
            names = label_columns.names_in(cell, self._columns.separator)
            known = self._labels
            return [known.setdefault(name, len(known)) for name in names]
        found = []
        for label, (name, place) in enumerate(self._flags):
            value = label_columns.FLAGS.get(cells[place].lower())
            if value is None:
                raise ValueError(
                    f"column {name!r}: expected 0 or 1, found {cells[place]!r}"
                )
            if value:
                found.append(label)
            elif not cells[place]:
                self._num_empty += 1
        return found


def select(parsed: Parsed, least: int) -> tuple[Parsed, Mapping[str, int]]:
    """Returns the rows with the labels that enough records have.

    Args:
        parsed: rows of a table.
        least: number of records that a label needs.

    Returns:
        The rows, and the number of records of each label that was left out.
    """
    counts = parsed.matrix.sum(axis=0, dtype=np.int64)
    kept = counts >= least
    rare = {
        label: int(count)
        for label, count in zip(parsed.labels, counts, strict=True)
        if count < least
    }
    if not kept.any():
        raise ValueError(
            f"no label has {least} records or more; the most frequent has "
            f"{counts.max(initial=0)}"
        )
    labels = tuple(np.array(parsed.labels, object)[kept])
    return dataclasses.replace(
        parsed, labels=labels, matrix=parsed.matrix[:, kept]
    ), rare


def patients_in_several_folds(patients: np.ndarray, folds: np.ndarray) -> int:
    """Returns the number of patients whose records are in more than one fold."""
    pairs = set(zip(patients.tolist(), folds.tolist(), strict=True))
    return sum(count > 1 for count in Counter(patient for patient, _ in pairs).values())


def lacks_validation(folds: np.ndarray) -> bool:
    """Returns whether there are records for training, but none for validation."""
    found = set(folds.tolist())
    train, val = (found.intersection(manifest.SPLIT_FOLDS[s]) for s in ("train", "val"))
    return bool(train) and not val
