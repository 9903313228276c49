"""ECGs in files of any kind, and the files of a folder."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrm_jax.records import leads as lead_names
from mrm_jax.records import original_mat, recording, tables, wfdb_records

TABLES = {".npy": tables.read_npy, ".csv": tables.read_csv}
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
    if path.suffix in TABLES:
        return _read_table(path, form)
    if path.suffix == ".mat" and not path.with_suffix(".hea").exists():
        return recording.Recording(
            path.stem,
            original_mat.read(path),
            lead_names.LEADS,
            original_mat.SAMPLING_RATE,
            path,
        )
    return _read_wfdb(path)


def find(paths: Sequence[Path | str]) -> Found:
    """Returns the records of files and folders, a folder's sorted, sub-folders too.

    Raises:
        ValueError: if something is not there, or there is no record in any of it.
    """
    records: dict[Path, None] = {}  # in order, each once
    passed_over: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            records[_one_of(path)] = None
            continue
        for file in _files(path):
            if file.suffix != ".csv" or tables.is_record(file):
                records[file] = None
            else:
                passed_over.append(file)
    if not records:
        raise ValueError(f"{', '.join(map(str, paths))}: no record; there are {KINDS}")
    return Found(list(records), passed_over)


def _one_of(path: Path) -> Path:
    """Returns the file that stands for a record: its header, if it has one."""
    header = wfdb_records.header_path(path)
    if header.is_file():
        return header
    if not path.is_file():
        raise ValueError(f"{path}: no such record or folder")
    return path


def _files(folder: Path) -> list[Path]:
    """Returns one file for each record: the header where there is one."""
    endings = (".hea", ".mat", *TABLES)
    files = {
        path
        for path in folder.rglob("*")
        if path.suffix in endings and not path.name.startswith(".") and path.is_file()
    }
    headers = {path.with_suffix("") for path in files if path.suffix == ".hea"}
    return sorted(
        path
        for path in files
        if path.suffix != ".mat" or path.with_suffix("") not in headers
    )


def _read_table(path: Path, form: TableForm) -> recording.Recording:
    if form.sampling_rate is None:
        raise ValueError(f"no rate: {path.name} does not say it; give --sampling_rate")
    unit = recording.unit_name(form.unit)
    signal, names = TABLES[path.suffix](path, form.leads)
    signal_mv = recording.to_mv(signal, unit)
    return recording.Recording(
        path.stem, signal_mv, tuple(names), form.sampling_rate, path, unit
    )


def _read_wfdb(path: Path) -> recording.Recording:
    header = wfdb_records.header_path(path)
    if not header.exists() and path.suffix not in ("", ".mat", *_WFDB):
        raise ValueError(f"unknown kind: {path.name}: expected {KINDS}")
    found = wfdb_records.read_all(path)
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
