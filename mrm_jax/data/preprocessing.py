"""Converts signals of any rate and length to the rate, length and unit of the shards.

A signal is resampled, then brought to length, then rounded to whole microvolts.
Resampling comes first, so that the filter sees the samples beyond the cut. Samples
that cannot affect the result are dropped before, which saves time on long records.
"""

import fractions
import functools
import math
from collections.abc import Sequence

import numpy as np

from mrm_jax.data import leads, plausibility

EXACT = "exact"  # records of another length are skipped
STRETCH_OR_CUT = "stretch-or-cut"  # stretch shorter records, keep the start of longer
LENGTH_POLICIES = (EXACT, STRETCH_OR_CUT)
# Shorter records are not stretched. The shortest of CPSC2018 has 6 s of 10 s.
SHORTEST_SHARE = 0.5

# How the filter extends a signal beyond its ends: with the slope of its last two
# samples. Of SciPy's ten extensions it had the smallest error over the first and last
# three samples of 50 PTB-XL and CPSC2018 records cut out of longer ones at 500 Hz: 6 uV
# rms, against 12 uV with the last sample held and 39 uV with zeros.
EXTENSION = "smooth"
HALF_FILTER = 10  # samples of the lower rate on each side, as in SciPy
# Bounds the filter's length for a rate that is not a whole number of Hz. The error in
# time is at most one part in 2 * MAX_FACTOR.
MAX_FACTOR = 10_000

_INT16 = np.iinfo(np.int16)


def prepare_uv(
    signal_mv: np.ndarray,
    source_rate: float,
    sampling_rate: int,
    num_samples: int,
    length_policy: str,
    unit: str = "mV",
) -> np.ndarray:
    """Returns a record as stored in shards: int16 microvolts [num_samples, lead].

    Args:
        signal_mv: [time, lead], millivolts, at `source_rate`.
        source_rate: sampling rate of the signal, Hz.
        sampling_rate: sampling rate of the result, Hz.
        num_samples: length of the result, samples.
        length_policy: one of `LENGTH_POLICIES`.
        unit: unit of the numbers before conversion to mV, for the error.

    Raises:
        ValueError: "REASON: detail", if samples are missing or out of range, a lead is
            flat, the amplitude shows that the unit is wrong, or the policy is EXACT and
            the length differs.
    """
    if length_policy == STRETCH_OR_CUT:
        signal_mv = signal_mv[: num_used(num_samples, source_rate, sampling_rate)]
    check_finite(signal_mv, source_rate)
    check_not_flat(signal_mv)  # before the filter, which adds ripples to flat leads
    # Before the rounding, as whole microvolts of volts are flat, and of microvolts out
    # of range.
    plausibility.check_unit(signal_mv, unit)
    resampled = resample(signal_mv, source_rate, sampling_rate)
    signal_uv = to_microvolts(fit_length(resampled, num_samples, length_policy))
    check_not_flat(signal_uv)
    return signal_uv


def num_used(num_samples: int, source_rate: float, sampling_rate: int) -> int:
    """Returns how many samples affect the first `num_samples` at another rate."""
    num_source = math.ceil(num_samples * source_rate / sampling_rate)
    if source_rate == sampling_rate:
        return num_source
    return num_source + math.ceil(
        HALF_FILTER * max(source_rate, sampling_rate) / sampling_rate
    )


def resample(signal: np.ndarray, source_rate: float, sampling_rate: int) -> np.ndarray:
    """Returns a signal [time, lead] at another rate in Hz, without aliasing."""
    ratio = sampling_rate / fractions.Fraction(source_rate)
    if source_rate != int(source_rate):
        ratio = ratio.limit_denominator(MAX_FACTOR)
    return _polyphase(signal, ratio.numerator, ratio.denominator)


def fit_length(signal: np.ndarray, num_samples: int, length_policy: str) -> np.ndarray:
    """Returns a signal [time, lead] with `num_samples` samples.

    Raises:
        ValueError: if the policy is unknown, or is EXACT and the length differs.
    """
    found = len(signal)
    if found == num_samples:
        return signal
    if length_policy == STRETCH_OR_CUT:
        if found > num_samples:
            return signal[:num_samples]
        check_long_enough(found, num_samples)
        return stretch(signal, num_samples)
    if length_policy == EXACT:
        raise ValueError(f"wrong length: expected {num_samples} samples, found {found}")
    raise ValueError(
        f"unknown length policy {length_policy!r}: expected one of {LENGTH_POLICIES}"
    )


def check_long_enough(found: int, num_samples: int) -> None:
    """Checks that a record may be stretched to `num_samples`.

    Raises:
        ValueError: "too short: ..." if it has less than SHORTEST_SHARE of them.
    """
    if found < SHORTEST_SHARE * num_samples:
        raise ValueError(
            f"too short: expected {SHORTEST_SHARE:.0%} of the {num_samples} samples of "
            f"a window or more, found {found}; stretching it further would distort it"
        )


def stretch(signal: np.ndarray, num_samples: int) -> np.ndarray:
    """Returns a signal [time, lead] stretched or compressed to `num_samples`."""
    common = math.gcd(num_samples, len(signal))
    return _polyphase(signal, num_samples // common, len(signal) // common)


def to_microvolts(signal_mv: np.ndarray) -> np.ndarray:
    """Returns millivolts as int16 microvolts.

    Exact for files with 1000 units per mV, as rounding removes the error of float32.

    Raises:
        ValueError: "out of range: ...", if a value exceeds int16.
    """
    signal_uv = np.rint(signal_mv * 1000)
    low, high = signal_uv.min(), signal_uv.max()
    if low < _INT16.min or high > _INT16.max:
        raise ValueError(
            f"out of range: expected {_INT16.min} to {_INT16.max} uV, "
            f"found {low:.0f} to {high:.0f}"
        )
    return signal_uv.astype(np.int16)


def check_finite(
    signal_mv: np.ndarray, sampling_rate: float, names: Sequence[str] = leads.LEADS
) -> None:
    """Raises ValueError "missing samples: ..." if a sample is NaN or infinite."""
    finite = np.isfinite(signal_mv)
    if not len(signal_mv):
        raise ValueError("missing samples: the record is empty")
    if not finite.all():
        times_s = np.flatnonzero(~finite.all(axis=1)) / sampling_rate
        raise ValueError(
            f"missing samples: {np.sum(~finite)} of {finite.size} are NaN or infinite, "
            f"from {times_s[0]:.2f} s to {times_s[-1]:.2f} s "
            f"in {_leads(~finite.all(axis=0), names)}"
        )


def check_not_flat(signal_uv: np.ndarray, names: Sequence[str] = leads.LEADS) -> None:
    """Raises ValueError "flat lead: ..." if a lead never changes."""
    flat = (signal_uv == signal_uv[0]).all(axis=0)
    if flat.any():
        raise ValueError(f"flat lead: {_leads(flat, names)} constant")


def _leads(chosen: np.ndarray, names: Sequence[str]) -> str:
    return ", ".join(np.array(names)[chosen])


def _polyphase(signal: np.ndarray, up: int, down: int) -> np.ndarray:
    if up == down:
        return signal
    # Imported here, as it takes a second in every worker and is not always needed.
    from scipy import signal as scipy_signal

    taps = _low_pass(max(up, down)).astype(np.result_type(signal, np.float32))
    return scipy_signal.resample_poly(
        signal, up, down, axis=0, window=taps, padtype=EXTENSION
    )


@functools.lru_cache(maxsize=64)
def _low_pass(factor: int) -> np.ndarray:
    """Returns the taps of a filter that keeps 1 / `factor` of the band, as in SciPy."""
    from scipy import signal as scipy_signal

    return scipy_signal.firwin(
        2 * HALF_FILTER * factor + 1, 1 / factor, window=("kaiser", 5.0)
    )
