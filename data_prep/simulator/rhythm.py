"""Times of heartbeats: sinus rhythm, premature beats and atrial fibrillation."""

import dataclasses
import enum

import numpy as np

# Beats start before the record and end after it, so that the record may cut beats.
MARGIN_S = 2.0
# Shards keep the first 10 s only (protocols.md). A premature beat and those around it
# must lie within, or it cannot be learned.
ECTOPY_WINDOW_S = (1.0, 8.5)


class Origin(enum.Enum):
    """Where a beat starts."""

    SINUS = "sinus node"
    ATRIAL = "ectopic focus in the atria"
    VENTRICULAR = "ectopic focus in the ventricles"
    FIBRILLATION = "fibrillating atria"


@dataclasses.dataclass(frozen=True)
class Beat:
    """One heartbeat."""

    onset_s: float  # first deflection of the QRS complex, from the record's start
    origin: Origin
    pr_s: float | None  # onset of P to onset of QRS; None without a P wave


@dataclasses.dataclass(frozen=True)
class Rhythm:
    """The parameters of the beats of one record."""

    heart_rate_bpm: float
    rr_variation: float  # sinus: depth of the arrhythmia; fibrillation: RR's std / mean
    breath_hz: float
    pr_s: float
    fibrillation: bool = False
    ectopy: Origin | None = None


def beats(
    rng: np.random.Generator, rhythm: Rhythm, duration_s: float
) -> tuple[Beat, ...]:
    """Returns the beats of a record in order, with those just outside its edges."""
    end_s = duration_s + MARGIN_S
    if rhythm.fibrillation:
        onsets = _fibrillation_onsets(rng, rhythm, end_s)
        return tuple(Beat(float(t), Origin.FIBRILLATION, None) for t in onsets)
    onsets = _sinus_onsets(rng, rhythm, end_s)
    sinus = [Beat(float(t), Origin.SINUS, rhythm.pr_s) for t in onsets]
    if rhythm.ectopy is None:
        return tuple(sinus)
    insert = {
        Origin.ATRIAL: _premature_atrial,
        Origin.VENTRICULAR: _premature_ventricular,
    }[rhythm.ectopy]
    for index in _ectopic_indices(rng, onsets, duration_s):
        sinus = insert(rng, sinus, index)
    return tuple(sinus)


def _sinus_onsets(rng: np.random.Generator, rhythm: Rhythm, end_s: float) -> np.ndarray:
    """Returns QRS onsets, in s: RR shortens while breathing in, and drifts slowly.

    References:
        Task Force of the ESC and NASPE, 1996, Circulation 93:1043 (heart rate
        variability: respiratory band 0.15 to 0.4 Hz, slow band around 0.1 Hz).
    """
    phase, slow_phase = rng.uniform(0.0, 2 * np.pi, 2)
    onsets = [-MARGIN_S - rng.uniform(0.0, 60.0 / rhythm.heart_rate_bpm)]
    while onsets[-1] < end_s:
        breath = np.sin(2 * np.pi * rhythm.breath_hz * onsets[-1] + phase)
        slow = np.sin(2 * np.pi * 0.1 * onsets[-1] + slow_phase)
        jitter = rng.normal(0.0, 0.3)
        change = rhythm.rr_variation * (breath + 0.5 * slow + jitter)
        onsets.append(onsets[-1] + 60.0 / rhythm.heart_rate_bpm * (1.0 + change))
    return np.array(onsets)


def _fibrillation_onsets(
    rng: np.random.Generator, rhythm: Rhythm, end_s: float
) -> np.ndarray:
    """Returns QRS onsets, in s, with independent intervals.

    The AV node conducts no two beats within about 0.3 s. Beyond that the intervals are
    skewed to the right, modelled by a gamma distribution.
    """
    shortest_s = 0.32
    mean_s = 60.0 / rhythm.heart_rate_bpm - shortest_s
    std_s = rhythm.rr_variation * 60.0 / rhythm.heart_rate_bpm
    shape, scale = (mean_s / std_s) ** 2, std_s**2 / mean_s
    num_beats = int((end_s + MARGIN_S) * rhythm.heart_rate_bpm / 60.0 * 2.0) + 8
    onsets = -MARGIN_S + np.cumsum(shortest_s + rng.gamma(shape, scale, num_beats))
    return onsets[onsets < end_s]


def _ectopic_indices(
    rng: np.random.Generator, onsets: np.ndarray, duration_s: float
) -> np.ndarray:
    """Returns the indices of premature beats: one, a few, or every second or third."""
    first_s, last_s = ECTOPY_WINDOW_S
    seen = (onsets > first_s) & (onsets < min(last_s, duration_s - 1.5))
    candidates = np.flatnonzero(seen)
    pattern = rng.choice(["single", "few", "regular"], p=[0.35, 0.45, 0.2])
    if pattern == "single":
        return rng.choice(candidates, 1)
    if pattern == "regular":  # bigeminy, trigeminy
        return candidates[:: rng.integers(2, 4)]
    apart = candidates[rng.integers(0, 2) :: 2]  # a sinus beat between any two
    count = min(len(apart), int(rng.integers(2, 4)))
    return np.sort(rng.choice(apart, count, replace=False))


def _premature_atrial(
    rng: np.random.Generator, sinus: list[Beat], index: int
) -> list[Beat]:
    """Makes beat `index` premature; it resets the sinus node.

    The pause is incomplete: the two intervals around the premature beat are shorter
    than two of sinus rhythm, and all later beats move.
    """
    before, at = sinus[index - 1], sinus[index]
    interval_s = at.onset_s - before.onset_s
    onset_s = before.onset_s + max(rng.uniform(0.54, 0.76) * interval_s, 0.36)
    early = Beat(onset_s, Origin.ATRIAL, float(rng.uniform(0.12, 0.17)))
    next_s = onset_s + rng.uniform(1.02, 1.15) * interval_s
    shift_s = next_s - sinus[index + 1].onset_s
    later = [
        dataclasses.replace(beat, onset_s=beat.onset_s + shift_s)
        for beat in sinus[index + 1 :]
    ]
    return [*sinus[:index], early, *later]


def _premature_ventricular(
    rng: np.random.Generator, sinus: list[Beat], index: int
) -> list[Beat]:
    """Makes beat `index` premature without resetting the sinus node.

    The P wave that falls into it is not conducted, hence the full compensatory pause:
    the two intervals around the premature beat are two of sinus rhythm.
    """
    before, at = sinus[index - 1], sinus[index]
    interval_s = at.onset_s - before.onset_s
    onset_s = before.onset_s + max(rng.uniform(0.55, 0.75) * interval_s, 0.38)
    early = Beat(onset_s, Origin.VENTRICULAR, None)
    return [*sinus[:index], early, *sinus[index + 1 :]]
