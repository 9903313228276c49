"""ECGs as plain tables of numbers: .npy, and .csv with or without a header row."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrm_jax.records import leads as lead_names

# Columns that count samples or seconds, as spreadsheets and data frames write them.
_TIME = re.compile(
    r"((elapsed )?time|timestamp|t|sample|index|unnamed: 0|)"
    r"[ _]*[(\[]?(s|ms|us|sec|seconds|samples)?[)\]]?"
)
_DELIMITERS = ",;\t"


def read_npy(
    path: Path, names: Sequence[str] | None
) -> tuple[np.ndarray, Sequence[str]]:
    """Returns the signal [time, lead] of a .npy file, in its unit, and its leads.

    Args:
        path: an array [time, lead] or [lead, time]; the number of leads tells which.
        names: of its leads; None: the twelve in the standard order.

    Raises:
        ValueError: "REASON: detail", if it is damaged, or its shape does not tell.
    """
    leads = names or lead_names.LEADS
    try:
        array = _array(path)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    fits = [size == len(leads) for size in np.shape(array)]
    if len(fits) != 2 or not any(fits):
        raise ValueError(
            f"wrong shape: {path.name}: expected one record, [time, {len(leads)}] or "
            f"[{len(leads)}, time], found {np.shape(array)}; --leads names other leads"
        )
    if all(fits):
        raise ValueError(
            f"wrong shape: {path.name}: {array.shape} does not tell time from leads"
        )
    return (array if fits[1] else array.T), leads


def read_csv(
    path: Path, names: Sequence[str] | None
) -> tuple[np.ndarray, Sequence[str]]:
    """Returns the signal [time, lead] of a .csv file, in its unit, and its leads.

    A column of times or sample numbers is left out, if the header row calls it so.

    Args:
        path: a row for each sample, parted by commas, semicolons or tabs.
        names: of its leads, against the header row; None: those of the header row, or,
            without one, the twelve in the standard order.

    Raises:
        ValueError: "REASON: detail", if a cell is no number, or the columns do not fit.
    """
    import pandas as pd  # half a second

    header, delimiter = _first_row(path)
    try:
        frame = pd.read_csv(
            path,
            sep=delimiter,
            header=None,
            skiprows=0 if header is None else 1,
            dtype=np.float64,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    values = frame.to_numpy()
    if header is not None:
        kept = [place for place, name in enumerate(header) if not _is_time(name)]
        header = [header[place] for place in kept]
        values = values[:, [place for place in kept if place < values.shape[1]]]
    leads = names or header or lead_names.LEADS
    if len(leads) != values.shape[1]:
        raise ValueError(
            f"wrong shape: {path.name}: expected {len(leads)} columns "
            f"({', '.join(leads)}), found {values.shape[1]}; --leads names others"
        )
    return values, leads


def is_record(path: Path) -> bool:
    """Returns whether a .csv file begins like an ECG: numbers only, or names of leads.

    Tables of labels lie in the same folders.
    """
    try:
        header, _ = _first_row(path)
    except ValueError:
        return True  # the reader will say what is wrong with it
    known = {lead_names.standard_name(name) for name in header or ()}
    return header is None or bool(known.intersection(lead_names.LEADS))


def _array(path: Path) -> np.ndarray:
    # np.load would take archives (.npz) and pickles for arrays as well.
    with path.open("rb") as file:
        start = file.read(len(np.lib.format.MAGIC_PREFIX))
        if start != np.lib.format.MAGIC_PREFIX:
            raise ValueError("no .npy file")
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _first_row(path: Path) -> tuple[list[str] | None, str]:
    """Returns the names in the header row, None if there is none, and the delimiter."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            line = file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    delimiter = max(_DELIMITERS, key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return (None if all(map(_is_number, cells)) else cells), delimiter


def _is_time(name: str) -> bool:
    return _TIME.fullmatch(name.strip(" '\"").lower()) is not None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()  # a missing sample
    return True
