"""Reads WFDB records: the twelve leads in the standard order, or all signals.

For a ten-second ECG, `wfdb.rdsamp` spends most of its time parsing the header. Plain
records (format 16, one sample per frame: all of PTB-XL and CPSC2018) are therefore
read here directly, with identical values. The wfdb package reads all others.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mrm_jax.data import leads, recording

LEADS = leads.LEADS
_INVALID = -32768  # marks a sample that was not measured in format 16

# Header lines as described in header(5) of the WFDB manual, without the rare fields
# (segments, counter, several samples per frame, skew), which the wfdb package reads.
# Early headers of the Challenge 2020 name the record with an ending, "E00271.mat".
_RECORD_LINE = re.compile(r"[-\w]+(?:\.\w+)?\s+(\d+)\s+(\d+)\s+(\d+)(?:\s[^/]*)?")
_FORMAT = re.compile(r"16(?:\+(\d+))?")
_FILE_NAME = re.compile(r"\w[-\w]*(?:\.\w+)?")
_MICROVOLT = re.compile("[\u00b5\u03bc\ufffd]V")  # micro, mu; neither in UTF-8
_GAIN = re.compile(r"(\d+(?:\.\d+)?)(?:\((-?\d+)\))?/(\S+)")


@dataclasses.dataclass(frozen=True)
class _Channel:
    """One signal line of a plain header."""

    file_name: str
    byte_offset: int
    gain: float  # digital steps per unit
    baseline: int  # the digital value of 0
    unit: str
    name: str


@dataclasses.dataclass(frozen=True)
class _Header:
    """A plain header."""

    sampling_rate: int
    num_samples: int
    channels: Sequence[_Channel]


@dataclasses.dataclass(frozen=True)
class Signals:
    """Signals of one record, each in its own unit; NaN for samples not measured."""

    values: np.ndarray  # [time, signal], float32
    names: Sequence[str]  # [signal], as the header spells them
    units: Sequence[str]  # [signal], likewise
    sampling_rate: float  # Hz


# Selects the signals to read: path, names and units of a header -> indices.
_Choice = Callable[[Path, Sequence[str], Sequence[str]], Sequence[int]]


def read_record(path: Path | str) -> tuple[np.ndarray, int]:
    """Returns a record's signal [time, lead] in mV (float32) and its rate in Hz.

    The leads are in the order of `LEADS`, for any order and spelling of the file.
    Leads beyond the twelve are ignored. Samples marked as not measured are NaN.

    Args:
        path: path of the record, with or without the suffix of one of its files.

    Raises:
        ValueError: "REASON: detail", if the record is missing, damaged or truncated,
            lacks a lead, or states no rate, gain or unit of voltage.
    """
    path = header_path(path)
    found = _read(path, _twelve)
    if found.sampling_rate != int(found.sampling_rate):
        raise ValueError(
            f"wrong rate: {path.name}: expected whole Hz, "
            f"found {found.sampling_rate:g} Hz"
        )
    units = [recording.unit_name(unit) for unit in found.units]
    return in_mv(found.values, units), int(found.sampling_rate)


def in_mv(values: np.ndarray, units: Sequence[str]) -> np.ndarray:
    """Returns signals [time, signal] in mV; signals in mV are returned unchanged.

    Args:
        values: [time, signal], each in its own unit.
        units: [signal], keys of `recording.MV_PER_UNIT`.
    """
    if set(units) <= {"mV"}:
        return values
    factors = np.array([recording.MV_PER_UNIT[unit] for unit in units], np.float32)
    return values * factors


def read_all(path: Path | str) -> Signals:
    """Returns all signals of a record.

    Args:
        path: path of the record, with or without the suffix of one of its files.

    Raises:
        ValueError: "REASON: detail", if the record is missing, damaged or truncated.
    """
    return _read(header_path(path), lambda _, names, units: range(len(names)))


def header_path(path: Path | str) -> Path:
    """Returns the path of a record's header; the suffix of the given path may vary."""
    path = Path(path)
    if path.suffix.lower() not in (".hea", ".dat", ".mat"):
        return path.with_name(f"{path.name}.hea")
    return path.with_suffix(".HEA" if path.suffix.isupper() else ".hea")


def named_files(header: Path) -> set[Path]:
    """Returns the signal files that a header names, or the headers of its segments.

    These files make up the record. An unreadable header names none.
    """
    try:
        record, *others = _lines(_text(header)) or [""]
    except OSError:
        return set()
    suffix = header.suffix if re.match(r"\S+/\d", record) else ""
    names = {line.split(maxsplit=1)[0] for line in others} - {"~"}  # ~: a gap
    return {header.parent / f"{name}{suffix}" for name in names} - {header}


def _read(path: Path, choice: _Choice) -> Signals:
    try:
        text = _text(path)
        if (header := _plain_header(text)) is None:
            _check_stated(path, text)
            return _read_with_wfdb(path, choice)
        channels = header.channels
        names, units = [c.name for c in channels], [c.unit for c in channels]
        columns = choice(path, names, units)
        return Signals(
            _read_plain(path, header, columns),
            [names[column] for column in columns],
            [units[column] for column in columns],
            header.sampling_rate,
        )
    except FileNotFoundError as error:
        raise ValueError(f"missing file: {Path(error.filename).name}") from None
    except OSError as error:
        raise ValueError(f"unreadable: {path.name}: {error.strerror}") from None


def _text(header: Path) -> str:
    return header.read_bytes().decode("utf-8-sig", errors="replace")


def _check_volts(path: Path) -> None:
    """Rejects microvolts that wfdb reads as volts, as it drops the micro sign."""
    segments = re.findall(r"^\S+", _text(path), re.MULTILINE)
    headers = [path, *(path.parent / f"{segment}.hea" for segment in segments)]
    if any(_MICROVOLT.search(_text(file)) for file in headers if file.is_file()):
        raise ValueError(
            f"wrong unit: {path.name}: found a micro sign. Write uV instead"
        )


def _twelve(path: Path, names: Sequence[str], units: Sequence[str]) -> Sequence[int]:
    """Returns the index of each of the twelve leads among a record's signals."""
    found = [leads.standard_name(name) for name in names]
    missing = [lead for lead in LEADS if lead not in found]
    if missing:
        raise ValueError(
            f"missing lead: {path.name}: no {', '.join(missing)}; found {names}"
        )
    double = [lead for lead in LEADS if found.count(lead) > 1]
    if double:
        raise ValueError(f"doubled lead: {path.name}: {', '.join(double)}")
    columns = [found.index(lead) for lead in LEADS]
    for column in columns:
        _check_unit(path, names[column], units[column])
    return columns


def _check_unit(path: Path, name: str, unit: str) -> None:
    try:
        recording.unit_name(unit)
    except ValueError as error:
        raise ValueError(f"{error} (lead {name} of {path.name})") from None


def _lines(text: str) -> list[str]:
    """Returns the lines of a header without comments."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _check_stated(path: Path, text: str) -> None:
    """Checks that a header states its rate and gains.

    The wfdb package would assume 250 Hz and 200 steps per mV.

    Raises:
        ValueError: "no rate: ..." or "uncalibrated: ...".
    """
    record, *signals = _lines(text) or [""]
    fields = record.split()
    rate = _leading_number(fields[2]) if len(fields) > 2 else 0.0
    if fields and not rate > 0:  # also NaN
        raise ValueError(
            f"no rate: the first line of {path.name} states no sampling rate. Write it "
            "after the number of signals, in Hz"
        )
    if fields and "/" in fields[0]:
        return  # segments: each has a header of its own
    for line in signals:
        cells = line.split(maxsplit=8)
        name = leads.standard_name(cells[8]) if len(cells) > 8 else ""
        stated = len(cells) > 2 and _leading_number(cells[2]) != 0
        if name in LEADS and not stated:
            raise ValueError(
                f"uncalibrated: {path.name} states no gain of lead {cells[8]}, so its "
                "voltage is unknown"
            )


def _leading_number(field: str) -> float:
    """Returns the number at the start of a field, such as 1000 of "1000(0)/mV"."""
    match = re.match(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", field, re.IGNORECASE)
    return float(match[0]) if match else 0.0


def _plain_header(text: str) -> _Header | None:
    """Returns the header, or None if it is not of plain format 16."""
    lines = _lines(text)
    record = _RECORD_LINE.fullmatch(lines[0]) if lines else None
    if record is None:
        return None
    num_signals, sampling_rate, num_samples = map(int, record.groups())
    if not sampling_rate:
        return None
    channels = [_plain_channel(line) for line in lines[1:]]
    plain = [channel for channel in channels if channel is not None]
    if not num_samples or not len(plain) == len(channels) == num_signals:
        return None
    offsets = {(channel.file_name, channel.byte_offset) for channel in plain}
    if len(offsets) != len({file_name for file_name, _ in offsets}):
        return None
    return _Header(sampling_rate, num_samples, plain)


def _plain_channel(line: str) -> _Channel | None:
    """Returns one signal line, or None if it is not of plain format 16."""
    fields = line.split(maxsplit=8)
    if len(fields) != 9 or not _FILE_NAME.fullmatch(fields[0]):
        return None
    format_, gain = _FORMAT.fullmatch(fields[1]), _GAIN.fullmatch(fields[2])
    if format_ is None or gain is None or not float(gain[1]):
        return None
    return _Channel(
        file_name=fields[0],
        byte_offset=int(format_[1] or 0),
        gain=float(gain[1]),
        baseline=int(fields[4] if gain[2] is None else gain[2]),
        unit="uV" if _MICROVOLT.fullmatch(gain[3]) else gain[3],
        name=fields[8],
    )


def _read_plain(path: Path, header: _Header, columns: Sequence[int]) -> np.ndarray:
    """Returns the signals of `columns`; a file holds its signals interleaved."""
    channels, found = header.channels, []
    for name, offset in {(c.file_name, c.byte_offset) for c in channels}:
        own = [i for i, c in enumerate(channels) if c.file_name == name]
        count, file = header.num_samples * len(own), path.with_name(name)
        # Checked before memory is allocated, as damaged headers ask for any amount.
        if (there := max(0, file.stat().st_size - offset) // 2) < count:
            raise ValueError(
                f"truncated file: {name}: expected {count} values, found {there}"
            )
        found.append((own, np.fromfile(file, "<i2", count, offset=offset)))
    digital = np.empty((header.num_samples, len(channels)), "<i2")
    for own, values in found:
        digital[:, own] = values.reshape(-1, len(own))
    digital = digital[:, list(columns)]
    gains = np.array([channels[column].gain for column in columns])
    baselines = np.array([channels[column].baseline for column in columns])
    # In float64 and in this order, as in wfdb, so that the result is identical. In
    # place, as allocating memory at every step takes longer than the arithmetic.
    values = digital.astype(np.float64)
    values -= baselines
    values /= gains
    values[digital == _INVALID] = np.nan
    return values.astype(np.float32)


def _read_with_wfdb(path: Path, choice: _Choice) -> Signals:
    import wfdb  # here, as it takes a second and plain records do not need it

    try:
        record = wfdb.rdrecord(str(path.with_suffix("")))
        names = [name or "" for name in record.sig_name]  # None: no description
        units, rate = record.units, float(record.fs)
        values = np.asarray(record.p_signal, np.float32)
    except OSError:
        raise
    except Exception as error:  # wfdb raises almost anything for damaged files
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    if "V" in units:
        _check_volts(path)
    columns = list(choice(path, names, units))
    return Signals(
        values[:, columns],
        [names[column] for column in columns],
        [units[column] for column in columns],
        rate,
    )
