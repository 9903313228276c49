"""Raw records made by hand: WFDB files and the layouts of PTB-XL and CPSC2018."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import io as scipy_io

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
STATEMENTS = """\
,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
SR,sinus rhythm,,,1.0,,
NORM,normal ECG,1.0,,,NORM,NORM
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
IMI,inferior myocardial infarction,1.0,,,MI,IMI
ILMI,inferolateral myocardial infarction,1.0,,,MI,IMI
_XYZ,sorts after the capitals,,1.0,,,
"""


def digital(num_samples: int = 1000, seed: int = 0, num_leads: int = 12) -> np.ndarray:
    """Returns int16 noise [time, lead] that is never the mark of a missing sample."""
    rng = np.random.default_rng(seed)
    return rng.integers(-3000, 3000, (num_samples, num_leads), dtype=np.int16)


def write_wfdb(
    path: Path,
    values: np.ndarray,
    rate: int = 100,
    *,
    names: Sequence[str] = LEADS,
    gain: str | Sequence[str] = "1000/mV",
    padding: int = 0,
) -> Path:
    """Writes a header and one format 16 file; returns the header's path.

    With `padding` bytes before the samples the file is a .mat, as in CPSC2018.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    signal_file = f"{path.name}.mat" if padding else f"{path.name}.dat"
    gains = [gain] * len(names) if isinstance(gain, str) else gain
    format_ = f"16+{padding}" if padding else "16"
    lines = [f"{path.name} {len(names)} {rate} {len(values)}"]
    lines += [
        f"{signal_file} {format_} {g} 16 0 0 0 0 {name}"
        for g, name in zip(gains, names, strict=True)
    ]
    header = path.with_name(f"{path.name}.hea")
    header.write_text("\n".join(lines) + "\n")
    data = bytes(padding) + values.astype("<i2").tobytes()
    path.with_name(signal_file).write_bytes(data)
    return header


def write_original(path: Path, signal_mv: np.ndarray) -> Path:
    """Writes an original .mat file of CPSC2018; `signal_mv` is [time, lead]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ecg = {"sex": "Male", "age": 50.0, "data": signal_mv.T}
    scipy_io.savemat(path, {"ECG": ecg})
    return path


def write_challenge(raw_dir: Path, names: Sequence[str]) -> None:
    """Writes WFDB records of CPSC2018, ten seconds at 500 Hz, all of class Normal."""
    for seed, name in enumerate(names):
        header = write_wfdb(raw_dir / name, digital(5000, seed), 500, padding=24)
        header.write_text(header.read_text() + "#Dx: 426783006\n")


def write_ptbxl(raw_dir: Path, codes: Sequence[str], folds: Sequence[int]) -> None:
    """Writes the tables and the 100 Hz records of a PTB-XL; `codes` are dict texts."""
    lines = ["ecg_id,scp_codes,strat_fold,filename_lr,filename_hr"]
    for number, (text, fold) in enumerate(zip(codes, folds, strict=True), start=1):
        stem = f"00000/{number:05d}"
        cell = text.replace('"', '""')
        lines.append(
            f'{number},"{cell}",{fold},records100/{stem}_lr,records500/{stem}_hr'
        )
        write_wfdb(raw_dir / f"records100/{stem}_lr", digital(seed=number))
    (raw_dir / "ptbxl_database.csv").write_text("\n".join(lines) + "\n")
    (raw_dir / "scp_statements.csv").write_text(STATEMENTS)
