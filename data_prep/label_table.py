"""Reads tables of labels: CSV files with any delimiter and encoding, and Parquet."""

import contextlib
import csv
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mrm_jax.runtime import extras

ENCODING = "utf-8-sig"  # with or without a byte order mark
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
PARQUET = (".parquet", ".pq")
SAMPLE_ROWS = 1000

Row = tuple[int, Sequence[str]]  # number of its last line in the file, and its cells


class Table:
    """An open table, whose rows are read when they are needed."""

    def __init__(self, path: Path, encoding: str = ENCODING):
        """Reads the names of the columns.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is no table, or has a column twice.
        """
        self.path = path
        self._encoding = encoding
        self._is_parquet = path.suffix.lower() in PARQUET
        self._delimiter = "" if self._is_parquet else self._find_delimiter()
        self.columns = [name.strip() for name in next(self._lines())[1]]
        double = [name for name in self.columns if self.columns.count(name) > 1]
        if double:
            raise ValueError(f"{path}: column {double[0]!r} exists twice. Rename one.")

    def __str__(self) -> str:
        """Returns the name of the file and its delimiter, for the user."""
        if self._is_parquet:
            return self.path.name
        return f"{self.path.name}, separated by {DELIMITERS[self._delimiter]}"

    def rows(self) -> Iterator[Row]:
        """Yields line number and stripped cells of each row that is not empty.

        Raises:
            ValueError: if a row is not CSV in this encoding.
        """
        lines = self._lines()
        next(lines)
        for line, cells in lines:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped

    @functools.cached_property
    def sample(self) -> dict[str, list[str]]:
        """The first cells of each column, from complete rows.

        Of a column that is empty in the first rows, as labels are in a table that is
        sorted by diagnosis, the first row with a cell counts too.

        Raises:
            ValueError: if there are no rows.
        """
        found: dict[str, list[str]] = {name: [] for name in self.columns}
        empty = set(self.columns)
        for number, cells in enumerate(self._complete_rows()):
            row = dict(zip(self.columns, cells, strict=True))
            in_time = number < SAMPLE_ROWS
            for name in self.columns if in_time else sorted(empty):
                if in_time or row[name]:
                    found[name].append(row[name])
                if row[name]:
                    empty.discard(name)
            if not empty and number >= SAMPLE_ROWS - 1:
                break
        if not any(found.values()):
            raise ValueError(f"{self.path}: expected a header row and records")
        return found

    def cells(self, column: str) -> Iterator[str]:
        """Yields all cells of a column, from complete rows."""
        place = self.columns.index(column)
        for cells in self._complete_rows():
            yield cells[place]

    def _complete_rows(self) -> Iterator[Sequence[str]]:
        width = len(self.columns)
        return (cells for _, cells in self.rows() if len(cells) == width)

    def _find_delimiter(self) -> str:
        with self._naming(), self.path.open(encoding=self._encoding) as file:
            line = file.readline()
            widths = {
                delimiter: len(next(csv.reader([line], delimiter=delimiter), []))
                for delimiter in DELIMITERS
            }
        return max(widths, key=lambda delimiter: widths[delimiter])

    def _lines(self) -> Iterator[Row]:
        """Yields the header row, even if it is empty, and all rows."""
        if self._is_parquet:
            yield from self._parquet_lines()
            return
        with (
            self._naming(),
            self.path.open(newline="", encoding=self._encoding) as file,
        ):
            reader = csv.reader(file, delimiter=self._delimiter, strict=True)
            yield 1, next(reader, [])
            for cells in reader:
                yield reader.line_num, cells

    def _parquet_lines(self) -> Iterator[Row]:
        import pandas as pd  # here, as it takes half a second

        extras.require("Parquet files need pyarrow", "files", "pyarrow")
        try:
            frame = pd.read_parquet(self.path)
        except ValueError as error:  # pyarrow's own errors are ValueErrors
            raise ValueError(f"{self.path} is not a Parquet table ({error}).") from None
        if frame.index.names != [None]:  # pandas takes columns for its index
            frame = frame.reset_index()
        yield 1, list(map(str, frame.columns))
        rows = frame.itertuples(index=False, name=None)
        for line, cells in enumerate(rows, start=2):
            yield line, [_text(cell) for cell in cells]

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Names the file in errors of the CSV reader and the decoder."""
        try:
            yield
        except (csv.Error, UnicodeError) as error:
            raise ValueError(
                f"{self.path} is not a CSV table in {self._encoding} ({error}). Name "
                "another encoding with --encoding, such as cp1252 or utf-16."
            ) from None
        except LookupError:
            raise ValueError(f"--encoding: {self._encoding} is unknown") from None


def _text(cell: Any) -> str:
    """Returns the text of a cell; the items of a list are separated by semicolons.

    The keys of a dictionary are such items. Parquet stores each key in all rows; those
    that a row does not have are null.
    """
    import pandas as pd

    value = cell.tolist() if hasattr(cell, "tolist") else cell  # NumPy's
    if isinstance(value, dict):
        value = [key for key, item in value.items() if item is not None]
    elif isinstance(value, list) and all(isinstance(item, tuple) for item in value):
        value = [key for key, _ in value]  # of the type map
    if isinstance(value, list):
        return ";".join(map(str, value))
    if pd.isna(value):
        return ""
    return str(int(value) if isinstance(value, bool) else value)
