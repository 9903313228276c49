"""Reads the original .mat files of the CPSC2018 challenge.

Each file holds a struct ECG with twelve leads in mV.

References:
    Liu et al., 2018, doi 10.1166/jmihi.2018.2442.
"""

from pathlib import Path

import numpy as np
from scipy import io as scipy_io

from mrm_jax.data import leads

SAMPLING_RATE = 500  # Hz; not stored in the files


def read(path: Path) -> np.ndarray:
    """Returns the signal [time, lead] in mV of an original .mat file.

    Raises:
        ValueError: "REASON: detail", if the file holds no twelve-lead struct ECG.
    """
    try:
        data = scipy_io.loadmat(path, variable_names=["ECG"])["ECG"]["data"][0, 0]
        signal_mv = np.asarray(data, np.float64).T
    except FileNotFoundError:
        raise ValueError(f"missing file: {path.name}") from None
    except KeyError:
        raise ValueError(
            f"unreadable: {path.name}: the file has no struct ECG, but {_held(path)}. "
            "A record of the PhysioNet Challenge needs its header "
            f"{path.stem}.hea in the same folder. Save any other signal as .npy, and "
            "pass its rate and unit with --sampling_rate and --unit"
        ) from None
    except Exception as error:  # loadmat raises almost anything for damaged files
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    if signal_mv.ndim != 2 or signal_mv.shape[1] != len(leads.LEADS):
        raise ValueError(
            f"missing lead: {path.name}: expected {len(leads.LEADS)} leads, "
            f"found an array [time, lead] of {signal_mv.shape}"
        )
    return signal_mv


def _held(path: Path) -> str:
    """Returns the variables of a .mat file in words."""
    found = [
        f"{name} {list(shape)} ({kind})" for name, shape, kind in scipy_io.whosmat(path)
    ]
    return f"the variables {', '.join(found)}" if found else "no variable"
