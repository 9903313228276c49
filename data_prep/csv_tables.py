"""Reads CSV tables whose columns are found by name and checked cell by cell.

Errors name the file, the line, the column and the value. A row with an invalid cell is
returned with its reason, so that the caller can skip it and keep the others.
"""

import csv
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Parse = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table: either `values` or `reason` is set."""

    line: int  # number of its last line in the file, from 1
    key: Any  # its name; None if that is invalid
    values: dict[str, Any] | None  # column -> parsed cell
    reason: str | None  # why the row is invalid, "invalid row: FILE, line ..."


def read(
    path: Path, key: str, columns: Mapping[str, Parse], unique: bool = True
) -> list[Row]:
    """Reads the columns of a CSV file and returns its rows in order.

    Cells are stripped of blanks. Other columns are ignored.

    Args:
        path: CSV file with a header, in UTF-8, with or without a byte order mark.
        key: column that names a row; one of `columns`.
        columns: functions that parse the cells of each column, and raise ValueError
            with what they expected.
        unique: whether no two rows may have the same key.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a CSV table, lacks a column or has one twice, or
            names a row twice.
    """
    header, lines = _read_cells(path)
    for name in columns:
        if header.count(name) != 1:
            found = ", ".join(map(repr, header)) or "an empty file"
            raise ValueError(
                f"{path}: expected one column {name!r}, found {header.count(name)} "
                f"({found})."
            )
    rows = []
    for line, cells in lines:
        values, problems = _parse(header, cells, columns)
        where = f"invalid row: {path.name}, line {line}"
        reason = f"{where}, {'; '.join(problems)}" if problems else None
        rows.append(Row(line, values.get(key), None if problems else values, reason))
    if unique:
        _check_unique(path, key, rows)
    return rows


def read_header(path: Path) -> list[str]:
    """Returns the names of the columns; raises as `read`."""
    return _read_cells(path)[0]


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Returns the header, and line number and cells of each row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            return header, [(reader.line_num, cells) for cells in reader if cells]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV table in UTF-8 ({error}).") from None


def _parse(
    header: Sequence[str], cells: Sequence[str], columns: Mapping[str, Parse]
) -> tuple[dict[str, Any], list[str]]:
    """Returns the parsed cells of a row by column, and what is wrong with others."""
    values, problems = {}, []
    if len(cells) != len(header):
        problems.append(f"expected {len(header)} cells, found {len(cells)}")
    found = dict(zip(header, cells, strict=False))
    for name, parse in columns.items():
        cell = found.get(name, "").strip()
        try:
            values[name] = parse(cell)
        except ValueError as error:
            problems.append(f"column {name!r}: {error}, found {cell!r}")
    return values, problems


def _check_unique(path: Path, key: str, rows: Sequence[Row]) -> None:
    first: dict[Any, int] = {}
    for row in rows:
        if row.key is not None and first.setdefault(row.key, row.line) != row.line:
            raise ValueError(
                f"{path}: column {key!r} has {row.key!r} twice, in lines "
                f"{first[row.key]} and {row.line}. Remove one of these rows."
            )


def text(cell: str) -> str:
    """Returns the text of a cell, which must not be empty.

    Raises:
        ValueError: if it is empty, or stands for a missing value.
    """
    if cell.lower() in ("", "nan", "none", "null"):
        raise ValueError("expected text")
    if not cell.isprintable():
        raise ValueError("expected text without control characters")
    return cell


def optional_text(cell: str) -> str:
    """Returns the text of a cell, "" if the value is missing."""
    return "" if cell.lower() in ("nan", "none", "null") else cell


def whole_number(low: int, high: float = math.inf) -> Parse:
    """Returns a parser of whole numbers from low to high; "3.0" is one of them."""
    expected = f"expected a whole number of {low} or more"
    if high < math.inf:
        expected = f"expected a whole number from {low} to {high:g}"

    def parse(cell: str) -> int:
        """Returns the number."""
        try:
            number = float(cell)
        except ValueError:
            raise ValueError(expected) from None
        if not (math.isfinite(number) and number == int(number)):
            raise ValueError(expected)
        if not low <= number <= high:
            raise ValueError(expected)
        return int(number)

    return parse


def flag(cell: str) -> bool:
    """Returns whether a cell holds 1; 0 and an empty cell are False.

    Raises:
        ValueError: if it holds anything else.
    """
    values = {"1": True, "1.0": True, "0": False, "0.0": False, "": False, "nan": False}
    if cell.lower() not in values:
        raise ValueError("expected 1, 0 or an empty cell")
    return values[cell.lower()]
