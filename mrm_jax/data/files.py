"""Reads ECGs from files of any supported kind, and finds the records in folders."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mrm_jax.data import cpsc_mat, device_files, recording, tables, wfdb_files
from mrm_jax.data import leads as lead_names

TABLES = (".npy", ".csv")
KINDS = (
    "WFDB (.hea, .dat, .mat, or no ending), the .mat of CPSC2018, .npy, .csv, and "
    f"{device_files.KINDS}"
)
# Files that may hold ECGs, but are not read. They are counted, as other files are not.
UNREAD = (
    *(".bdf", ".ecg", ".gdf", ".h5", ".hdf5", ".npz"),
    *(".parquet", ".pickle", ".pkl", ".xlsx"),
    *(".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"),
)
_WFDB = (".hea", ".dat")


@dataclasses.dataclass(frozen=True)
class TableForm:
    """The metadata that files of plain numbers (.npy, .csv) do not store."""

    sampling_rate: float | None = None  # Hz; required
    unit: str = "mV"
    leads: tuple[str, ...] | None = None  # None: from the header row, or standard


@dataclasses.dataclass(frozen=True)
class Found:
    """The files of records, and the files in the same folders that were skipped."""

    records: Sequence[Path]
    tables: Sequence[Path] = ()  # .csv files without a lead in the header row
    unread: Sequence[Path] = ()  # files of the kinds in UNREAD

    def skipped(self) -> str:
        """Returns the skipped files in words, or an empty text."""
        groups = []
        if self.tables:
            names = ", ".join(path.name for path in self.tables[:3])
            groups.append(
                f"{len(self.tables):,} .csv without lead names in the first row, "
                f"such as {names}"
            )
        if self.unread:
            kinds = Counter(path.suffix.lower() for path in self.unread)
            counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
            groups.append(f"files of kinds that are not read: {counts}")
        return "; ".join(groups)


def read(path: Path | str, form: TableForm | None = None) -> recording.Recording:
    """Returns the ECG of a file.

    Args:
        path: file of one of `KINDS`.
        form: rate, unit and leads of a .npy or .csv; other files store them.

    Raises:
        ValueError: "REASON: detail", if the file is missing, damaged or of another
            kind, or if its sampling rate is unknown.
    """
    path, form = Path(path), form or TableForm()
    kind, header = path.suffix.lower(), wfdb_files.header_path(path)
    if not (path.is_file() or header.is_file()):
        missing = header if kind in ("", *_WFDB) else path
        raise ValueError(f"missing file: {missing.name}")
    if kind in TABLES:
        return _read_table(path, form)
    if kind in device_files.SUFFIXES:
        return device_files.read(path)
    if kind == ".mat" and not header.exists():
        return recording.Recording(
            path.stem,
            cpsc_mat.read(path),
            lead_names.LEADS,
            cpsc_mat.SAMPLING_RATE,
            path,
        )
    return _read_wfdb(path)


def find(paths: Sequence[Path | str]) -> Found:
    """Returns the records of files and folders.

    Folders are searched with their sub-folders, in sorted order. Signal files and
    segments that a header names are part of its record. A missing file is listed too if
    others exist; `read` reports it.

    Raises:
        ValueError: if nothing exists, no record is found, or `paths` is one path.
    """
    check_several(paths)
    given = ", ".join(map(str, paths))
    if not any(_stands_for(Path(path)).exists() for path in paths):
        raise ValueError(f"{given}: no such record or folder exists")
    records: dict[Path, None] = {}  # in order, each once
    label_tables: list[Path] = []
    unread: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            records[_stands_for(path)] = None
            continue
        files = [file for file in walk(path) if file.is_file()]
        unread += sorted(file for file in files if _is_unread(file))
        for file in _one_per_record(files):
            if file.suffix.lower() != ".csv" or tables.is_record(file):
                records[file] = None
            else:
                label_tables.append(file)
    found = Found(list(records), label_tables, unread)
    if not records:
        skipped = f" Skipped: {found.skipped()}." if found.skipped() else ""
        raise ValueError(
            f"{given}: no record was found.{skipped} Supported files: {KINDS}"
        )
    return found


def check_several(paths: Iterable[Path | str]) -> None:
    """Checks that paths are not a single one, whose letters would be taken for paths.

    Raises:
        ValueError: if they are.
    """
    if isinstance(paths, str | Path):
        raise ValueError(
            f"paths: expected a list, found one path. Pass [{str(paths)!r}]"
        )


def _stands_for(path: Path) -> Path:
    """Returns the file that represents a record: its header, if it has one."""
    header = wfdb_files.header_path(path)
    return header if header.is_file() else path


def _is_unread(path: Path) -> bool:
    """Returns whether a file may hold an ECG, but is of a kind that is not read."""
    return path.suffix.lower() in UNREAD or not device_files.is_record(path)


def _one_per_record(paths: Sequence[Path]) -> list[Path]:
    """Returns one file for each record, sorted: the header if there is one."""
    kinds = (*_WFDB, ".mat", *TABLES, *device_files.SUFFIXES)
    files = {
        path
        for path in paths
        if path.suffix.lower() in kinds and device_files.is_record(path)
    }
    headers = {path for path in files if path.suffix.lower() == ".hea"}
    parts = {part for header in headers for part in wfdb_files.named_files(header)}
    parts |= {path.with_suffix(path.suffix.swapcase()) for path in parts}
    signals = {path for path in files if path.suffix.lower() in (".dat", ".mat")}
    headed = {path.with_suffix("") for path in headers}
    return sorted(
        path
        for path in files - parts
        if path not in signals or path.with_suffix("") not in headed
    )


def walk(folder: Path) -> Iterator[Path]:
    """Yields files that are not hidden; follows links, but visits no folder twice."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _read_table(path: Path, form: TableForm) -> recording.Recording:
    if form.sampling_rate is None:
        raise ValueError(
            f"no rate: {path.name} does not store its sampling rate. Pass it with "
            "--sampling_rate"
        )
    unit = recording.unit_name(form.unit)
    if path.suffix.lower() == ".npy":
        signal, names = tables.read_npy(path, form.leads)
    else:
        signal, names = tables.read_csv(path, form.leads, unit, form.sampling_rate)
    signal_mv = recording.to_mv(signal, unit)
    return recording.Recording(
        path.stem, signal_mv, tuple(names), form.sampling_rate, path, unit
    )


def _read_wfdb(path: Path) -> recording.Recording:
    header = wfdb_files.header_path(path)
    if not header.exists() and path.suffix.lower() not in ("", ".mat", *_WFDB):
        raise ValueError(f"unknown kind: {path.name}: expected {KINDS}")
    found = wfdb_files.read_all(path)
    names = [lead_names.standard_name(name) for name in found.names]
    columns = [i for i, name in enumerate(names) if name in lead_names.LEADS]
    units = [recording.unit_name(found.units[column]) for column in columns]
    return recording.Recording(
        header.stem,
        wfdb_files.in_mv(found.values[:, columns], units),
        tuple(names[column] for column in columns),
        found.sampling_rate,
        header,
        ", ".join(sorted(set(units))) or "mV",
    )
