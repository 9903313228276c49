"""Reads records and labels of CPSC2018 in all formats in circulation.

Signals: a WFDB record (PhysioNet/Computing in Cardiology Challenge 2020 and 2021), or
the original .mat file of the 2018 challenge. Labels: REFERENCE.csv, or the Dx line of
the WFDB header, with SNOMED CT codes or (early 2020) abbreviations.

References:
    Liu et al., 2018, doi 10.1166/jmihi.2018.2442.
"""

from pathlib import Path

import numpy as np

from data_prep import csv_tables
from mrm_jax.data import cpsc_mat, wfdb_files

# Classes 1 to 9: abbreviation, plain text and SNOMED CT codes. The mirrors of CPSC2018
# use the first code of each.
CLASSES = (
    ("Normal", "sinus rhythm, normal ECG", ("426783006",)),
    ("AF", "atrial fibrillation", ("164889003",)),
    ("I-AVB", "first-degree atrioventricular block", ("270492004",)),
    ("LBBB", "left bundle branch block", ("164909002",)),
    ("RBBB", "right bundle branch block", ("59118001", "713427006")),
    ("PAC", "premature atrial contraction", ("284470004", "63593006")),
    ("PVC", "premature ventricular contraction", ("164884008",)),
    ("STD", "ST-segment depression", ("429622005",)),
    ("STE", "ST-segment elevation", ("164931005",)),
)
NUM_CLASSES = len(CLASSES)
LABELS = tuple(label for label, _, _ in CLASSES)
DESCRIPTIONS = tuple(f"{text} (SNOMED CT {codes[0]})" for _, text, codes in CLASSES)
_CLASS_OF = {
    code: number
    for number, (label, _, codes) in enumerate(CLASSES, start=1)
    for code in (label, *codes)
}
_REFERENCE_COLUMNS = ("First_label", "Second_label", "Third_label")


def read_record(path: Path) -> tuple[np.ndarray, int]:
    """Returns a record's signal [time, lead] in mV and its rate in Hz.

    Args:
        path: path of a WFDB header or an original .mat file.

    Raises:
        ValueError: "REASON: detail", if the record cannot be read.
    """
    if path.suffix == ".mat":
        return cpsc_mat.read(path), cpsc_mat.SAMPLING_RATE
    return wfdb_files.read_record(path)


def read_reference(path: Path) -> dict[str, list[int]]:
    """Returns the classes of each record in a REFERENCE.csv, the first label first.

    Raises:
        ValueError: if a column is missing, a record occurs twice, or a row is invalid.
    """
    rows = read_reference_rows(path)
    for row in rows:
        if row.reason:
            raise ValueError(f"{path}: {row.reason}")
    return {row.key: classes_of(row) for row in rows}


def read_reference_rows(path: Path) -> list[csv_tables.Row]:
    """Returns the rows of a REFERENCE.csv, by name of the record; see `classes_of`.

    Raises:
        ValueError: if a column is missing, a record occurs twice, or classes beyond 9
            occur; names the records of such classes.
    """
    header = csv_tables.read_header(path)
    more = [name for name in _REFERENCE_COLUMNS[1:] if name in header]
    columns = dict.fromkeys((_REFERENCE_COLUMNS[0], *more), _parse_class)
    rows = csv_tables.read(path, "Recording", {"Recording": csv_tables.text, **columns})
    strange = [row.key for row in rows if max(classes_of(row), default=0) > NUM_CLASSES]
    if strange:
        raise ValueError(
            f"{path}: expected classes 1 to {NUM_CLASSES}, found others in "
            f"{len(strange)} rows: {', '.join(strange)}. A damaged copy of this file "
            "is in circulation. Download it from the page of the challenge."
        )
    return rows


def classes_of(row: csv_tables.Row) -> list[int]:
    """Returns the classes of a valid row of REFERENCE.csv, the first label first."""
    values = row.values or {}
    return [values[name] for name in _REFERENCE_COLUMNS if values.get(name)]


def _parse_class(cell: str) -> int | None:
    """Returns a class, None if the cell is empty."""
    return csv_tables.whole_number(1)(cell) if csv_tables.optional_text(cell) else None


def read_codes(path: Path) -> list[str]:
    """Returns the codes in the Dx lines of a WFDB header, in the order of the lines."""
    codes = []
    for line in path.read_text("ascii", errors="ignore").splitlines():
        key, _, value = line.lstrip("# \t").partition(":")
        if line.startswith("#") and key.strip() == "Dx":
            codes += [code.strip() for code in value.split(",") if code.strip()]
    return codes


def read_header_classes(path: Path) -> list[int]:
    """Returns the classes in the Dx lines of a WFDB header, in the order of the lines.

    Raises:
        ValueError: "REASON: detail", if there is no class or an unknown one.
    """
    codes = read_codes(path)
    if not codes:
        raise ValueError(
            f"no label: {path.name} names no class in a line '# Dx:', and there is no "
            "REFERENCE.csv"
        )
    return _classes(codes, path)


def _classes(codes: list[str], path: Path) -> list[int]:
    unknown = [code for code in codes if code not in _CLASS_OF]
    if unknown:
        raise ValueError(
            f"unknown label: {path.name}: {', '.join(unknown)} is not a class of "
            "CPSC2018"
        )
    return list(dict.fromkeys(_CLASS_OF[code] for code in codes))
