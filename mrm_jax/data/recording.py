"""An ECG as it was recorded, with any leads, rate and length, in millivolts."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrm_jax.data import leads as lead_names

MV_PER_UNIT = {"mV": 1.0, "uV": 1e-3, "V": 1e3}
_SPELLINGS = {unit.lower(): unit for unit in MV_PER_UNIT} | {
    "\N{MICRO SIGN}v": "uV",
    "\N{GREEK SMALL LETTER MU}v": "uV",
}
RATES_HZ = (50, 100_000)  # a rate outside this range is a mistake, such as kHz


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """One ECG. The shape of `signal_mv` is checked here, its values are not."""

    name: str
    signal_mv: np.ndarray  # [time, lead], float
    leads: Sequence[str]  # [lead]; any spelling, stored as a tuple of standard names
    sampling_rate: float  # Hz
    source: Path | None = None  # the file; None: created in memory
    unit: str = "mV"  # unit of the numbers before conversion to mV

    def __post_init__(self) -> None:
        """Normalises names and numbers, and checks the shape and the rate."""
        names = lead_names.standard_names(self.leads)
        object.__setattr__(self, "leads", names)
        object.__setattr__(self, "signal_mv", _floats(self.signal_mv))
        object.__setattr__(self, "sampling_rate", _rate(self.sampling_rate))
        _check_shape(self.signal_mv.shape, names)

    @property
    def duration_s(self) -> float:
        """The duration in seconds."""
        return len(self.signal_mv) / self.sampling_rate


def unit_name(text: str) -> str:
    """Returns the key of `MV_PER_UNIT` for any spelling of a unit.

    Raises:
        ValueError: "wrong unit: ..." for any other unit.
    """
    unit = _SPELLINGS.get(text.strip().lower())
    if unit is None:
        raise ValueError(
            f"wrong unit: expected {', '.join(MV_PER_UNIT)}, found {text!r}"
        )
    return unit


def column_names(signal: object) -> tuple[str, ...] | None:
    """Returns the names of a data frame's columns; None if they are numbered.

    Arrays have none.
    """
    names = tuple(getattr(signal, "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else None


def to_mv(signal: np.ndarray, unit: str) -> np.ndarray:
    """Returns a signal in mV; a signal in mV is returned unchanged."""
    return signal if unit == "mV" else signal * MV_PER_UNIT[unit]


def _floats(signal: np.ndarray) -> np.ndarray:
    if isinstance(signal, np.ma.MaskedArray):  # its masked samples were not measured
        signal = np.ma.filled(signal.astype(np.float64), np.nan)
    array = np.asarray(signal)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"unreadable: expected numbers, found {array.dtype}")
    keep = array.dtype in (np.float32, np.float64)
    return array if keep else array.astype(np.float64)


def _check_shape(shape: tuple[int, ...], names: Sequence[str]) -> None:
    if len(shape) == 2 and shape[1] == len(names):
        return
    turned = len(shape) == 2 and shape[0] == len(names)
    raise ValueError(
        f"wrong shape: expected [time, {len(names)} leads], found {shape}"
        + (". Transpose it (.T)" if turned else "")
        + (". Pass the names of its leads" if len(shape) == 2 and not turned else "")
    )


def _rate(given: float) -> float:
    low, high = RATES_HZ
    try:
        rate = float(given)
    except (TypeError, ValueError):
        rate = math.nan
    if not low <= rate <= high:
        raise ValueError(f"wrong rate: expected {low} to {high:,} Hz, found {given}")
    return rate
