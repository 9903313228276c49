"""Recognises signals that are not an ECG in millivolts: scaled, normalised or padded.

All bounds come from 3,081 real records: of PTB-XL, 3,031 at 100 Hz and 40 at 500 Hz,
and 10 of CPSC2018. `check` refuses none of them and notes the amplitude of six, 0.2 %.
"""

from collections.abc import Iterator

import numpy as np

# Standard deviations in mV that no ECG has. In the real records the median over leads
# is 0.04 to 0.67, and the largest lead's is 0.09 to 5.8.
TOO_LARGE_MV = 20.0  # median over leads: in microvolts, or steps of a converter
TOO_SMALL_MV = 0.002  # largest lead: in volts

# Height of a lead: the 99.5th percentile of the distance from its median, mV. The
# median over leads is 0.22 to 2.6 in the real records, and outside these bounds in six.
USUAL_HEIGHT_MV = (0.29, 2.4)
HEIGHT_PERCENTILE = 99.5
_ENOUGH_SAMPLES = 2000  # to measure it; keeps 100 Hz of 20 s

# A lead of mean 0 and standard deviation 1 within this is normalised. In each of the
# real records, a lead differs from 1 by at least 0.76.
NORMALISED_WITHIN = 0.05
# The same over all leads at once, where a real record comes within 0.017.
ALL_NORMALISED_WITHIN = 0.005
SCALED_WITHIN = 1e-3  # of the ends of 0 to 1, or of -1 to 1

# Seconds for which all leads may be constant. The longest in the real records is 0.11.
CONSTANT_S = 1.0


def check(signal_mv: np.ndarray, rate: float, unit: str = "mV") -> tuple[str, ...]:
    """Checks that a signal is plausible as an ECG, and returns notes on doubts.

    Args:
        signal_mv: [time, 12], millivolts, finite.
        rate: sampling rate, Hz.
        unit: unit of the numbers before conversion to mV.

    Raises:
        ValueError: "wrong unit: ...", "normalised: ..." if it cannot be in mV.
    """
    check_unit(signal_mv, unit)
    with np.errstate(over="ignore"):
        height_mv = _height_mv(signal_mv)
        _check_not_normalised(signal_mv, height_mv)
    return (*_amplitude(height_mv), *_constant(signal_mv, rate))


def check_unit(signal_mv: np.ndarray, unit: str = "mV") -> None:
    """Checks for amplitudes that only a wrong unit explains.

    Args:
        signal_mv: [time, lead], millivolts, finite.
        unit: unit of the numbers before conversion to mV.

    Raises:
        ValueError: "wrong unit: ...".
    """
    with np.errstate(over="ignore"):  # a huge value has an infinite square
        sd_mv = np.std(signal_mv, axis=0, dtype=np.float64)
    if np.median(sd_mv) > TOO_LARGE_MV:
        likely = {"mV": "in uV, or steps of a converter", "V": "in mV"}
    elif sd_mv.max() < TOO_SMALL_MV:
        likely = {"mV": "in V", "uV": "in mV"}
    else:
        return
    raise ValueError(
        f"wrong unit: read as {unit}, the leads have a median standard deviation of "
        f"{np.median(sd_mv):.3g} mV, but 0.04 to 0.7 mV is typical of an ECG. Are the "
        f"numbers {likely.get(unit, f'really in {unit}')}?"
    )


def _height_mv(signal_mv: np.ndarray) -> float:
    """Returns the median over leads of the height of a lead, mV."""
    signal = signal_mv[:: max(1, len(signal_mv) // _ENOUGH_SAMPLES)]
    distance = np.abs(signal - np.median(signal, axis=0))
    return float(np.median(np.percentile(distance, HEIGHT_PERCENTILE, axis=0)))


def _check_not_normalised(signal: np.ndarray, height_mv: float) -> None:
    """Checks for numbers without a unit, as other pipelines store them."""
    mean, sd = signal.mean(axis=0), np.std(signal, axis=0, dtype=np.float64)
    low, high = signal.min(axis=0), signal.max(axis=0)
    found = None
    if _near(mean, 0, NORMALISED_WITHIN) and _near(sd, 1, NORMALISED_WITHIN):
        found = "each lead has mean 0 and standard deviation 1"
    elif (
        _near(signal.mean(), 0, ALL_NORMALISED_WITHIN)
        and _near(np.std(signal), 1, ALL_NORMALISED_WITHIN)
        and height_mv > USUAL_HEIGHT_MV[1]
    ):
        found = "all leads together have mean 0 and standard deviation 1"
    elif _near(low, 0, SCALED_WITHIN) and _near(high, 1, SCALED_WITHIN):
        found = "each lead ranges from 0 to 1"
    elif _near(signal.min(), 0, SCALED_WITHIN) and _near(
        signal.max(), 1, SCALED_WITHIN
    ):
        found = "all leads together range from 0 to 1"
    elif _near(np.maximum(-low, high), 1, SCALED_WITHIN):
        found = "the largest value of each lead is 1"
    if found:
        raise ValueError(
            f"normalised: {found}, so the signal has no voltage any more. This model "
            "expects mV. Pass the signal as it was before it was normalised"
        )


def _near(values: np.ndarray | float, target: float, within: float) -> bool:
    return bool(np.all(np.abs(np.asarray(values) - target) <= within))


def _amplitude(height_mv: float) -> Iterator[str]:
    low, high = USUAL_HEIGHT_MV
    if not low <= height_mv <= high:
        size = "small" if height_mv < low else "large"
        yield (
            f"unusually {size} amplitude: the median lead reaches {height_mv:.2g} mV, "
            f"{low:g} to {high:g} mV is usual. Check the unit and the gain"
        )


def _constant(signal_mv: np.ndarray, rate: float) -> Iterator[str]:
    """Yields a note on stretches in which all leads are constant, such as padding."""
    same = np.all(signal_mv[1:] == signal_mv[:-1], axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]])))
    stretches = [
        (start / rate, (stop + 1) / rate)
        for start, stop in edges.reshape(-1, 2).tolist()
        if (stop + 1 - start) / rate > CONSTANT_S
    ]
    if stretches:
        total = sum(stop - start for start, stop in stretches)
        where = ", ".join(f"{start:.4g} to {stop:.4g} s" for start, stop in stretches)
        yield f"constant stretch: no lead changes for {total:.3g} s ({where})"
