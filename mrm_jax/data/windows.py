"""Cuts recordings into windows of a network's rate and length, also for many files.

A window is bit-identical to the same record in shards: the filter, the rounding to
whole microvolts and the checks are the same.
"""

import collections
import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator
from concurrent import futures
from pathlib import Path

import numpy as np

from mrm_jax.data import files, leads, plausibility, preprocessing
from mrm_jax.data import recording as recordings

READERS = min(8, os.cpu_count() or 1)  # threads, as NumPy and SciPy release the GIL
READ_AHEAD = 64  # most records read in advance; bounds the memory


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """The input of a network, in microvolts."""

    sampling_rate: int  # Hz
    num_samples: int  # of a window
    length_policy: str  # of its shards, one of preprocessing.LENGTH_POLICIES
    leads: tuple[str, ...] = leads.LEADS  # standard names

    @property
    def duration_s(self) -> float:
        """The duration of a window in seconds."""
        return self.num_samples / self.sampling_rate


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """A recording and its windows."""

    recording: recordings.Recording
    signals_uv: np.ndarray  # [window, time, lead], int16
    start_s: tuple[float, ...]  # [window], start in the recording, seconds
    notes: tuple[str, ...]  # conversions and warnings
    leads: tuple[str, ...] = leads.LEADS  # of signals_uv


Windowed = Windows | ValueError  # the windows, or why the recording was skipped


def cut(
    recording: recordings.Recording, expected: InputSpec, first_only: bool = False
) -> Windows:
    """Returns the windows of a recording.

    Windows are adjacent, except that the last one is aligned to the recording's end.

    Args:
        recording: recording with any leads, rate and length.
        expected: input of the network.
        first_only: whether to return only the first window, as shards do for longer
            records.

    Raises:
        ValueError: "REASON: detail", if leads or samples are missing, a lead is flat,
            the amplitude is implausible, the signal was normalised, or the recording is
            too short.
    """
    names = expected.leads
    signal_mv, computed = leads.complete(recording.signal_mv, recording.leads, names)
    size, rate = expected.num_samples, expected.sampling_rate
    source_rate = recording.sampling_rate
    if first_only:
        signal_mv = signal_mv[: preprocessing.num_used(size, source_rate, rate)]
    preprocessing.check_finite(signal_mv, source_rate, names)
    preprocessing.check_not_flat(signal_mv, names)
    doubts = plausibility.check(signal_mv, source_rate, recording.unit)
    resampled = preprocessing.resample(signal_mv, source_rate, rate)
    notes = [
        *_conversions(recording, expected),
        *computed,
        *leads.contradictions(signal_mv, names),
        *doubts,
    ]
    if len(resampled) < size:
        resampled = _stretched(resampled, expected)
        lengths_s = f"{recording.duration_s:g} s to {expected.duration_s:g} s"
        notes.append(f"stretched from {lengths_s}, as in training")
    starts = [0] if first_only else _starts(len(resampled), size)
    parts = [_window_uv(resampled, start, expected) for start in starts]
    start_s = tuple(start / rate for start in starts)
    return Windows(recording, np.stack(parts), start_s, tuple(notes), names)


def _conversions(
    recording: recordings.Recording, expected: InputSpec
) -> tuple[str, ...]:
    notes = []
    if recording.unit != "mV":
        notes.append(f"converted from {recording.unit} to mV")
    if recording.sampling_rate < expected.sampling_rate:
        notes.append(
            f"recorded at {recording.sampling_rate:g} Hz, less than the network's "
            f"{expected.sampling_rate} Hz: high frequencies are missing"
        )
    return tuple(notes)


def _stretched(signal_mv: np.ndarray, expected: InputSpec) -> np.ndarray:
    if expected.length_policy != preprocessing.STRETCH_OR_CUT:
        raise ValueError(
            f"too short: expected {expected.duration_s:g} s or more, found "
            f"{len(signal_mv) / expected.sampling_rate:g} s. This network was trained "
            "on records of full length only. Use one trained on records of any length "
            "(CPSC2018)"
        )
    preprocessing.check_long_enough(len(signal_mv), expected.num_samples)
    return preprocessing.stretch(signal_mv, expected.num_samples)


def _starts(num_samples: int, size: int) -> list[int]:
    """Returns the first sample of each window; the last window ends at the end."""
    last = max(0, num_samples - size)
    return [*range(0, last, size), last]


def _window_uv(resampled: np.ndarray, start: int, expected: InputSpec) -> np.ndarray:
    try:
        window = resampled[start : start + expected.num_samples]
        signal_uv = preprocessing.to_microvolts(window)
        preprocessing.check_not_flat(signal_uv, expected.leads)
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
    """Yields the windows of each file in order, or the error that prevents them.

    Args:
        paths: paths of records, as in files.read.
        form: rate, unit and leads of .npy and .csv.
        expected: input of the network.
        first_only: whether to return only the first window of each.

    Raises:
        ValueError: if `paths` is a single path.
    """
    files.check_several(paths)
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
    except Exception as error:  # readers raise almost anything for damaged files
        return ValueError(f"unreadable: {Path(path).name}: {error!r}")
