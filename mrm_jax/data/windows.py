"""A recording as a network takes it: twelve leads, its rate, windows of its length.

One window is what the preparation of shards makes of a record, to the bit: the same
filter, the same rounding to whole microvolts, the same reasons to refuse.
"""

import collections
import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator
from concurrent import futures
from pathlib import Path

import numpy as np

from mrm_jax.data import files, leads, preprocessing
from mrm_jax.data import recording as recordings

READERS = min(8, os.cpu_count() or 1)  # threads: NumPy and SciPy let others run
READ_AHEAD = 64  # records at most; bounds the memory


# Standard deviations in mV that no ECG has. Over 3,031 records of PTB-XL and 15 of
# CPSC2018 the middle lead has 0.04 to 0.7, the largest 0.09 to 5.8.
TOO_LARGE_MV = 20.0  # the middle lead: microvolts, or steps of a converter
TOO_SMALL_MV = 0.002  # the largest lead: volts


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """What a network takes; the leads are always leads.LEADS, in microvolts."""

    sampling_rate: int  # Hz
    num_samples: int  # of a window
    length_rule: str  # of the shards it was trained on, see preprocessing.LENGTH_RULES

    @property
    def duration_s(self) -> float:
        """The length of a window in seconds."""
        return self.num_samples / self.sampling_rate


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """A recording, cut."""

    recording: recordings.Recording
    signals_uv: np.ndarray  # [window, time, lead], int16
    start_s: tuple[float, ...]  # [window], in the recording
    notes: tuple[str, ...]  # what was done to it, and what is odd about it


Windowed = Windows | ValueError  # a recording, or why it is unfit


def cut(
    recording: recordings.Recording, expected: InputSpec, first_only: bool = False
) -> Windows:
    """Returns the windows of a recording, side by side; the last one is its end.

    Args:
        recording: of any leads, rate and length.
        expected: what the network takes.
        first_only: only the first window, as shards keep of a longer record.

    Raises:
        ValueError: "REASON: detail", if leads or samples are missing, a lead is flat,
            the amplitude is no ECG's, or the record is too short for the network.
    """
    signal_mv, computed = leads.complete(recording.signal_mv, recording.leads)
    size, rate = expected.num_samples, expected.sampling_rate
    source_rate = recording.sampling_rate
    if first_only:
        signal_mv = signal_mv[: preprocessing.num_used(size, source_rate, rate)]
    preprocessing.check_finite(signal_mv, source_rate)
    preprocessing.check_not_flat(signal_mv)
    check_amplitude(signal_mv, recording.unit)
    resampled = preprocessing.resample(signal_mv, source_rate, rate)
    notes = [
        *_conversions(recording, expected),
        *computed,
        *leads.contradictions(signal_mv),
    ]
    if len(resampled) < size:
        resampled = _stretched(resampled, expected)
        lengths_s = f"{recording.duration_s:g} s to {expected.duration_s:g} s"
        notes.append(f"stretched from {lengths_s}, as in training")
    starts = [0] if first_only else _starts(len(resampled), size)
    parts = [_window_uv(resampled, start, expected) for start in starts]
    start_s = tuple(start / rate for start in starts)
    return Windows(recording, np.stack(parts), start_s, tuple(notes))


def check_amplitude(signal_mv: np.ndarray, unit: str) -> None:
    """Refuses a signal [time, lead] as large or small as only a wrong unit makes it.

    Raises:
        ValueError: "wrong unit: ..." with the likely one.
    """
    spread = np.std(signal_mv, axis=0, dtype=np.float64)
    if np.median(spread) > TOO_LARGE_MV:
        likely = {"mV": "in uV, or steps of a converter", "V": "in mV"}
    elif spread.max() < TOO_SMALL_MV:
        likely = {"mV": "in V", "uV": "in mV"}
    else:
        return
    raise ValueError(
        f"wrong unit: read as {unit}, the middle lead has a standard deviation of "
        f"{np.median(spread):.3g} mV, an ECG's has 0.03 to 1; are the numbers "
        f"{likely.get(unit, 'what they are said to be')}?"
    )


def _conversions(
    recording: recordings.Recording, expected: InputSpec
) -> tuple[str, ...]:
    notes = []
    if recording.unit != "mV":
        notes.append(f"converted from {recording.unit} to mV")
    if recording.sampling_rate < expected.sampling_rate:
        notes.append(
            f"recorded at {recording.sampling_rate:g} Hz, less than the network's "
            f"{expected.sampling_rate} Hz: its fastest parts are missing"
        )
    return tuple(notes)


def _stretched(signal_mv: np.ndarray, expected: InputSpec) -> np.ndarray:
    if expected.length_rule != preprocessing.STRETCH_OR_CUT:
        raise ValueError(
            f"too short: expected {expected.duration_s:g} s or more, found "
            f"{len(signal_mv) / expected.sampling_rate:g} s; this network saw whole "
            "records only, one trained on records of any length (CPSC2018) takes it"
        )
    return preprocessing.stretch(signal_mv, expected.num_samples)


def _starts(num_samples: int, size: int) -> list[int]:
    """Returns where windows begin: side by side, the last one at the end."""
    last = max(0, num_samples - size)
    return [*range(0, last, size), last]


def _window_uv(resampled: np.ndarray, start: int, expected: InputSpec) -> np.ndarray:
    try:
        window = resampled[start : start + expected.num_samples]
        signal_uv = preprocessing.to_microvolts(window)
        preprocessing.check_not_flat(signal_uv)
    except ValueError as error:
        if not start:
            raise
        raise ValueError(
            f"{error}, in the {expected.duration_s:g} s from "
            f"{start / expected.sampling_rate:g} s on"
        ) from None
    return signal_uv


def cuts(
    paths: Iterable[Path | str],
    form: files.TableForm | None,
    expected: InputSpec,
    first_only: bool = False,
) -> Iterator[Windowed]:
    """Yields the windows of each file, in order, or why there are none.

    Args:
        paths: of records, as files.read takes them.
        form: of .npy and .csv.
        expected: what the network takes.
        first_only: only the first window of each.
    """
    read = functools.partial(_read, form=form, expected=expected, first_only=first_only)
    with futures.ThreadPoolExecutor(READERS) as readers:
        reading: collections.deque[futures.Future[Windowed]] = collections.deque()
        for path in paths:
            reading.append(readers.submit(read, path))
            if len(reading) > READ_AHEAD:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()


def _read(
    path: Path | str,
    form: files.TableForm | None,
    expected: InputSpec,
    first_only: bool,
) -> Windowed:
    try:
        return cut(files.read(path, form), expected, first_only)
    except ValueError as error:
        return error
    except Exception as error:  # damaged files make readers raise nearly anything
        return ValueError(f"unreadable: {Path(path).name}: {error!r}")
