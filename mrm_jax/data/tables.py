"""Reads ECGs from plain numbers: .npy, and .csv with or without a header row."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrm_jax.data import leads as lead_names
from mrm_jax.data import recording

# Names of columns of times or sample numbers in spreadsheets and data frames.
_TIME = re.compile(
    r"((elapsed )?time|timestamp|t|sample|index|unnamed: 0|)"
    r"[ _]*[(\[]?(s|ms|us|sec|seconds|samples)?[)\]]?"
)
_NAME_AND_UNIT = re.compile(r"(.*\S)\s*[(\[]\s*(\S+?)\s*[)\]]['\"\s]*")
_NAME_UNIT = re.compile(r"(.*\w)[ _]+([mu\u00b5\u03bc]?V)['\"\s]*", re.IGNORECASE)
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6}
_TIMES = ("elapsed time", "time", "timestamp", "t")  # other names count samples
RATE_WITHIN = 0.01  # relative difference from a column of times, which is rounded
_DELIMITERS = ",;\t"
_FORM = "expected commas, semicolons or tabs between columns, and decimal points"


def read_npy(
    path: Path, names: Sequence[str] | None
) -> tuple[np.ndarray, Sequence[str]]:
    """Returns the signal [time, lead] of a .npy file, in its unit, and its leads.

    Args:
        path: file of an array [time, lead] or [lead, time], by the number of leads.
        names: names of its leads; None: the twelve in the standard order.

    Raises:
        ValueError: "REASON: detail", if the file is damaged or its shape is ambiguous.
    """
    leads = names or lead_names.LEADS
    try:
        array = _array(path)
    except Exception as error:  # NumPy raises almost anything for damaged headers
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    fits = [size == len(leads) for size in np.shape(array)]
    if len(fits) != 2 or not any(fits):
        raise ValueError(
            f"wrong shape: {path.name}: expected one record, [time, {len(leads)}] or "
            f"[{len(leads)}, time], found {np.shape(array)}. Name other leads with "
            "--leads"
        )
    if all(fits):
        raise ValueError(
            f"wrong shape: {path.name}: {array.shape} is ambiguous, as both axes could "
            "be the leads"
        )
    return (array if fits[1] else array.T), leads


def read_csv(
    path: Path, names: Sequence[str] | None, unit: str, rate: float | None = None
) -> tuple[np.ndarray, Sequence[str]]:
    """Returns the signal [time, lead] of a .csv file, in its unit, and its leads.

    A column of times or sample numbers is ignored if the header row names it so. A
    header row that only numbers the columns, as data frames write it, names no lead.

    Args:
        path: file with a row for each sample, separated by commas, semicolons or tabs.
        names: names of its leads, which override the header row; None: the names in the
            header row or, without one, the twelve in the standard order.
        unit: unit of all leads, one of recording.MV_PER_UNIT.
        rate: sampling rate in Hz that a column of times has to agree with.

    Raises:
        ValueError: "REASON: detail", if a cell is not a number, the number of columns
            is wrong, the header row has another unit in brackets, or a column of times
            has another rate.
    """
    header, delimiter = _first_row(path)
    values = _numbers(path, delimiter, first_row=0 if header is None else 1)
    if header is not None:
        if len(header) != values.shape[1]:
            raise ValueError(
                f"wrong shape: {path.name}: the header row names {len(header)} "
                f"columns, the rows have {values.shape[1]}. Give every column a name, "
                "a column of times for example time"
            )
        kept = [place for place, name in enumerate(header) if not _is_time(name)]
        if rate is not None:
            for place in set(range(len(header))) - set(kept):
                _check_rate(path, header[place], values[:, place], rate)
        header = _leads_of([header[place] for place in kept], unit, path)
        values = values[:, kept]
    leads = names or header or lead_names.LEADS
    if len(leads) != values.shape[1]:
        one_more = not header and len(leads) + 1 == values.shape[1]
        raise ValueError(
            f"wrong shape: {path.name}: expected {len(leads)} columns "
            f"({', '.join(leads)}), found {values.shape[1]}. Name them with --leads"
            + (", and a column of times as time" if one_more else "")
        )
    return values, leads


def is_record(path: Path) -> bool:
    """Returns whether a .csv file starts like an ECG: with numbers or names of leads.

    This distinguishes records from label tables in the same folder.
    """
    try:
        header, _ = _first_row(path)
    except ValueError:
        return True  # reading it will raise a clear error
    names = [_name_and_unit(cell)[0] for cell in header or () if not _is_time(cell)]
    known = {lead_names.standard_name(name) for name in names}
    numbered = header is None or _only_counts(names)
    return numbered or bool(known.intersection(lead_names.LEADS))


def _array(path: Path) -> np.ndarray:
    # np.load would accept archives (.npz) and pickles too.
    with path.open("rb") as file:
        start = file.read(len(np.lib.format.MAGIC_PREFIX))
        if start != np.lib.format.MAGIC_PREFIX:
            raise ValueError("not a .npy file")
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
    is_sample = all(map(_is_number, cells)) and not _only_counts(cells)
    return (None if is_sample else cells), delimiter


def _numbers(path: Path, delimiter: str, first_row: int) -> np.ndarray:
    import pandas as pd  # here, as it takes half a second

    try:
        frame = pd.read_csv(
            path,
            sep=delimiter,
            header=None,
            skiprows=first_row,
            dtype=np.float64,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        hint = f"; {_FORM}" if "convert" in str(error) else ""
        raise ValueError(f"unreadable: {path.name}: {error}{hint}") from None
    return np.asarray(frame.to_numpy())


def _leads_of(cells: Sequence[str], unit: str, path: Path) -> list[str]:
    """Returns the leads that a header row names, without their units."""
    if _only_counts(cells):
        return []
    pairs = [_name_and_unit(cell) for cell in cells]
    others = sorted({found for _, found in pairs if found} - {unit})
    if others:
        raise ValueError(
            f"wrong unit: {path.name}: the header row says {', '.join(others)}, "
            f"--unit says {unit}"
        )
    return [name for name, _ in pairs]


def _check_rate(path: Path, name: str, times: np.ndarray, rate: float) -> None:
    """Checks that a column of times has the steps of a sampling rate."""
    match = _TIME.fullmatch(name.strip(" '\"").lower())
    if match is None or match[1] not in _TIMES or match[3] == "samples":
        return
    # Times may be rounded to milliseconds, which the mean of all steps evens out.
    step = float(times[-1] - times[0]) / max(len(times) - 1, 1)
    if not step > 0:
        raise ValueError(f"wrong rate: {path.name}: the times in {name!r} do not rise")
    units = [match[3]] if match[3] else ["s", "ms", "us"]
    rates = [1 / (step * _SECONDS[found]) for found in units]
    if not match[3] and step == 1:
        return  # numbers of samples
    if not any(abs(found / rate - 1) <= RATE_WITHIN for found in rates):
        raise ValueError(
            f"wrong rate: {path.name}: the times in {name!r} have a mean step of "
            f"{step:.4g} {units[0]}, which is {rates[0]:.4g} Hz, but --sampling_rate "
            f"says {rate:g}"
        )


def _name_and_unit(cell: str) -> tuple[str, str | None]:
    """Returns "I" and "mV" for "I (mV)" or "I_mV"; the unit is None without one."""
    match = _NAME_AND_UNIT.fullmatch(cell) or _NAME_UNIT.fullmatch(cell)
    try:
        return (match[1], recording.unit_name(match[2])) if match else (cell, None)
    except ValueError:
        return cell, None


def _only_counts(cells: Sequence[str]) -> bool:
    """Returns whether a row is 0, 1, 2, ... or 1, 2, 3, ..., or an index and that."""
    numbers = [cell.strip(" '\"\r\n") for cell in cells]
    if numbers[:1] == [""]:
        numbers = numbers[1:]
    counts = [[str(first + n) for n in range(len(numbers))] for first in (0, 1)]
    return len(numbers) > 1 and numbers in counts


def _is_time(name: str) -> bool:
    return _TIME.fullmatch(name.strip(" '\"").lower()) is not None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()  # a missing sample
    return True
