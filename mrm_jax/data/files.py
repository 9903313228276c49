"""ECGs in files of any kind, and the files of a folder."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mrm_jax.data import cpsc_mat, recording, tables, wfdb_files
from mrm_jax.data import leads as lead_names

TABLES = (".npy", ".csv")
KINDS = "WFDB (.hea, .dat, .mat, or no ending), the .mat of CPSC2018, .npy and .csv"
_WFDB = (".hea", ".dat")


@dataclasses.dataclass(frozen=True)
class TableForm:
    """What tables of numbers (.npy, .csv) do not say themselves."""

    sampling_rate: float | None = None  # Hz; has to be given
    unit: str = "mV"
    leads: tuple[str, ...] | None = None  # None: as the header row or the standard has


@dataclasses.dataclass(frozen=True)
class Found:
    """Records by their files, and files that were passed over."""

    records: Sequence[Path]
    passed_over: Sequence[Path]  # tables in folders, without a lead in the header row


def read(path: Path | str, form: TableForm | None = None) -> recording.Recording:
    """Returns the ECG of a file.

    Args:
        path: of one of `KINDS`.
        form: of a .npy or .csv; other files say it themselves.

    Raises:
        ValueError: "REASON: detail", if the file is missing, damaged, of another kind,
            or lacks what has to be said.
    """
    path, form = Path(path), form or TableForm()
    kind, header = path.suffix.lower(), wfdb_files.header_path(path)
    if not (path.is_file() or header.is_file()):
        missing = header if kind in ("", *_WFDB) else path
        raise ValueError(f"missing file: {missing.name}")
    if kind in TABLES:
        return _read_table(path, form)
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
    """Returns the records of files and folders, a folder's sorted, sub-folders too.

    What is not there is listed beside others; `read` says so.

    Raises:
        ValueError: if nothing of it is there, or there is no record in any of it.
    """
    given = ", ".join(map(str, paths))
    if not any(_stands_for(Path(path)).exists() for path in paths):
        raise ValueError(f"{given}: no such record or folder")
    records: dict[Path, None] = {}  # in order, each once
    passed_over: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            records[_stands_for(path)] = None
            continue
        for file in _files(path):
            if file.suffix.lower() != ".csv" or tables.is_record(file):
                records[file] = None
            else:
                passed_over.append(file)
    if not records:
        raise ValueError(f"{given}: no record; there are {KINDS}")
    return Found(list(records), passed_over)


def _stands_for(path: Path) -> Path:
    """Returns the file that stands for a record: its header, if it has one."""
    header = wfdb_files.header_path(path)
    return header if header.is_file() else path


def _files(folder: Path) -> list[Path]:
    """Returns one file for each record: the header where there is one."""
    kinds = (*_WFDB, ".mat", *TABLES)
    files = {
        path: path.suffix.lower()
        for path in _walk(folder)
        if path.suffix.lower() in kinds and path.is_file()
    }
    headers = {path.with_suffix("") for path, kind in files.items() if kind == ".hea"}
    return sorted(
        path
        for path, kind in files.items()
        if kind not in (".dat", ".mat") or path.with_suffix("") not in headers
    )


def _walk(folder: Path) -> Iterator[Path]:
    """Yields what is not hidden, in linked folders too, but in no folder twice."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _read_table(path: Path, form: TableForm) -> recording.Recording:
    if form.sampling_rate is None:
        raise ValueError(f"no rate: {path.name} does not say it; give --sampling_rate")
    unit = recording.unit_name(form.unit)
    if path.suffix.lower() == ".npy":
        signal, names = tables.read_npy(path, form.leads)
    else:
        signal, names = tables.read_csv(path, form.leads, unit)
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
    places = [place for place, name in enumerate(names) if name in lead_names.LEADS]
    units = [recording.unit_name(found.units[place]) for place in places]
    factors = np.array([recording.MV_PER_UNIT[unit] for unit in units], np.float32)
    values = found.values[:, places]
    return recording.Recording(
        header.stem,
        values if set(units) <= {"mV"} else values * factors,
        tuple(names[place] for place in places),
        found.sampling_rate,
        header,
        ", ".join(sorted(set(units))) or "mV",
    )
