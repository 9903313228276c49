"""Writes records and label tables in the layout of the WFDB mirrors of CPSC2018."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int16
from scipy import io as scipy_io

from data_prep import cpsc_format

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MAX_LABELS = 3


@dataclasses.dataclass(frozen=True)
class Record:
    """One ECG and the content of its header."""

    name: str
    signal_uv: Int16[np.ndarray, "time 12"]  # in the order of LEADS
    sampling_rate: int  # Hz
    classes: Sequence[str]  # CPSC2018's abbreviations
    age: int  # years
    sex: str


def write_record(folder: Path, record: Record) -> None:
    """Writes a header and a .mat file in the format of PhysioNet's Challenge 2020.

    MATLAB reads the .mat file as a matrix `val` [lead, time] (version 4 of its format).
    WFDB reads it as format 16 from byte 24 on.
    """
    content = io.BytesIO()
    scipy_io.savemat(content, {"val": record.signal_uv.T}, format="4")
    (folder / f"{record.name}.mat").write_bytes(content.getvalue())
    num_samples, num_leads = record.signal_uv.shape
    lines = [
        f"{record.name} {num_leads} {record.sampling_rate} {num_samples}",
        *(
            f"{record.name}.mat 16+24 1000/mV 16 0 {column[0]} {_checksum(column)} 0 "
            f"{lead}"
            for lead, column in zip(LEADS, record.signal_uv.T, strict=True)
        ),
        f"#Age: {record.age}",
        f"#Sex: {record.sex}",
        f"#Dx: {','.join(_codes(record.classes))}",
    ]
    (folder / f"{record.name}.hea").write_text("\n".join(lines) + "\n")


def write_reference(folder: Path, classes: Mapping[str, Sequence[str]]) -> None:
    """Writes REFERENCE.csv from the classes of each record, the first label first."""
    numbers = {label: n for n, label in enumerate(cpsc_format.LABELS, start=1)}
    rows = [
        [
            name,
            *(numbers[label] for label in labels),
            *[""] * (MAX_LABELS - len(labels)),
        ]
        for name, labels in classes.items()
    ]
    header = ["Recording", "First_label", "Second_label", "Third_label"]
    _write_csv(folder / "REFERENCE.csv", [header, *rows])


def write_folds(folder: Path, folds: Mapping[str, int]) -> None:
    """Writes folds.csv from each record's fold."""
    _write_csv(folder / "folds.csv", [("record", "fold"), *folds.items()])


def _write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _checksum(column: Int16[np.ndarray, " time"]) -> int:
    """Returns WFDB's checksum of a lead: its sum as a signed 16-bit number."""
    return (int(column.sum(dtype=np.int64)) + 2**15) % 2**16 - 2**15


def _codes(classes: Sequence[str]) -> list[str]:
    """Returns sorted SNOMED CT codes, as in the mirrors, which lose the first label."""
    codes = {label: known[0] for label, _, known in cpsc_format.CLASSES}
    return sorted(codes[label] for label in classes)
