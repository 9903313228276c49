"""Finds out which column of a table holds records, labels, patients and folds.

Columns are recognised by their names and contents, and each can be named by the user.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from data_prep import label_table, record_files

# Names of columns, the most telling first, in small letters and without _ - and blanks.
_NAMES = {
    "record": (
        *("record", "recordname", "recordid", "recording", "ecgid", "ecg", "filename"),
        *("file", "filepath", "path", "filenamehr", "filenamelr", "name", "id"),
    ),
    "patient": ("patient", "patientid", "patientname", "subject", "subjectid", "pid"),
    "fold": ("fold", "stratfold", "folds", "split"),
    "labels": (
        *("labels", "label", "diagnosis", "diagnoses", "dx", "classes", "class"),
        *("codes", "scpcodes", "snomed", "target", "targets", "y"),
    ),
}
# Columns of 0 and 1 that are no finding in an ECG.
_PROPERTIES = ("sex", "gender", "male", "female", "ismale", "isfemale", "index")
_SEPARATORS = (";", "|", ",")  # of the labels in a cell; the first of these that occurs
_FLAGS_SHARE = 0.95  # of the cells of a column of 0 and 1; the others are mistakes

FLAGS = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0, "": 0}


@dataclasses.dataclass(frozen=True)
class Columns:
    """The names of the columns that are used; None where there is none."""

    record: str | None = None
    flags: tuple[str, ...] = ()  # one column for each label, with 0 and 1
    labels: str | None = None  # or one column with the names of each record's labels
    separator: str | None = None  # between these names; None: a cell is one label
    patient: str | None = None
    fold: str | None = None

    def describe(self) -> str:
        """Returns a line for each use of a column."""
        labels = f"{len(self.flags)} columns: {', '.join(self.flags)}"
        if self.labels:
            apart = f"separated by {self.separator!r}" if self.separator else "one each"
            labels = f"{self.labels} ({apart})"
        return "\n".join(
            [
                f"  record   {self.record}",
                f"  labels   {labels}",
                f"  patient  {self.patient or 'none: one patient for each record'}",
                f"  fold     {self.fold or 'none: folds are made here'}",
            ]
        )


def find(
    table: label_table.Table,
    asked: Columns,
    files: record_files.RecordFiles | None = None,
) -> Columns:
    """Returns the columns of a table.

    Args:
        table: the table.
        asked: the columns that the user named; the others are found.
        files: files of the records, among which those of the right column are.

    Raises:
        ValueError: if a column that was asked for does not exist, or no column of
            records or of labels is found; lists the columns.
    """
    named = (asked.record, asked.labels, asked.patient, asked.fold, *asked.flags)
    for name in named:
        if name and name not in table.columns:
            raise ValueError(
                f"{table.path}: no column {name!r}; it has {', '.join(table.columns)}"
            )
        if name and named.count(name) > 1:
            raise ValueError(f"The column {name!r} was named for two purposes.")
    used = {name for name in named if name}
    record = asked.record or _record(table, used, files)
    used |= {record} if record else set()
    patient = asked.patient or _by_name(table, "patient", used)
    fold = asked.fold or _by_name(table, "fold", used)
    used |= {name for name in (patient, fold) if name}
    labels, flags = asked.labels, asked.flags
    if not labels and not flags:
        labels = _list_column(table, used)
        flags = () if labels else _flag_columns(table, used)
    if record is None or not (labels or flags):
        what, flag = ("labels", "--label_columns or --labels_column")
        if record is None:
            what, flag = ("records", "--record_column")
        raise ValueError(
            f"{table.path}: no column of {what} was recognised. Name it with {flag}. "
            f"The columns are {', '.join(table.columns)}"
        )
    separator = asked.separator
    if labels and separator is None:
        separator = _separator(table.cells(labels))
    return Columns(record, tuple(flags), labels, separator, patient, fold)


def names_in(cell: str, separator: str | None) -> list[str]:
    """Returns the labels in a cell, each once; brackets and quotes are dropped.

    "['AF', 'RBBB']" and "{'NORM': 100.0}" are lists of names too. Brackets that do not
    enclose the whole cell, as in "infarction (old)", belong to a name.
    """
    bare = cell[1:-1] if _is_enclosed(cell) else cell
    parts = bare.split(separator) if separator else [bare]
    stripped = [part.strip(" \t'\"") for part in parts]
    if cell.startswith("{"):  # a dictionary, as of PTB-XL's statements
        stripped = [part.partition(":")[0].strip(" '\"") for part in stripped]
    return list(dict.fromkeys(part for part in stripped if part))


def _is_enclosed(cell: str) -> bool:
    """Returns whether one pair of brackets encloses a whole cell."""
    if cell[:1] + cell[-1:] not in ("[]", "()", "{}"):
        return False
    depth = 0
    for place, character in enumerate(cell):
        depth += (character == cell[0]) - (character == cell[-1])
        if not depth:
            return place == len(cell) - 1
    return False


def _record(
    table: label_table.Table, used: set[str], files: record_files.RecordFiles | None
) -> str | None:
    """Returns the column whose cells are files; without any, the one by its name."""
    by_name = _by_name(table, "record", used)
    if files is None:
        return by_name
    candidates = [by_name] if by_name else []
    candidates += [name for name in table.columns if name not in used | {by_name}]
    for name in candidates:
        cells = table.sample[name][:20]
        if any(cell not in FLAGS and files.has(cell) for cell in cells):
            return name
    return by_name


def _by_name(table: label_table.Table, kind: str, used: set[str]) -> str | None:
    for wanted in _NAMES[kind]:
        for name in table.columns:
            if name not in used and _plain(name) == wanted:
                return name
    return None


def _list_column(table: label_table.Table, used: set[str]) -> str | None:
    """Returns a column with a name like "labels" that holds more than 0 and 1."""
    for wanted in _NAMES["labels"]:
        for name in table.columns:
            cells = table.sample[name]
            if name not in used and _plain(name) == wanted and not _are_flags(cells):
                return name
    return None


def _flag_columns(table: label_table.Table, used: set[str]) -> tuple[str, ...]:
    return tuple(
        name
        for name in table.columns
        if name not in used
        and name
        and _plain(name) not in _PROPERTIES
        and _are_flags(table.sample[name])
    )


def _are_flags(cells: Sequence[str]) -> bool:
    """Returns whether cells are 0 and 1, but for a few that are mistakes."""
    small = [cell.lower() for cell in cells]
    share = sum(cell in FLAGS for cell in small) / len(small)
    return share >= _FLAGS_SHARE and any(cell in FLAGS for cell in small if cell)


def _separator(cells: Iterable[str]) -> str | None:
    """Returns the separator of names in a column, None if no cell has several names.

    All cells are read, as the first thousand of a sorted table may have one name each.
    """
    used = {
        separator for cell in cells for separator in _SEPARATORS if separator in cell
    }
    return next((separator for separator in _SEPARATORS if separator in used), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
