"""Measurements of ECGs that use no simulator internals except the onsets of beats."""

import functools

import numpy as np

from data_prep.simulator import model, rhythm, waves
from mrm_jax.data import leads

RATE = waves.SAMPLING_RATE
LEAD = {name: column for column, name in enumerate(leads.LEADS)}
NUM_RECORDS = 12


@functools.cache
def ecgs(*classes: str) -> tuple[model.Ecg, ...]:
    """Returns ten-second records of people aged 55."""
    rngs = map(np.random.default_rng, range(NUM_RECORDS))
    return tuple(model.simulate(rng, classes, 55, 10 * RATE) for rng in rngs)


def onsets(ecg, origin: rhythm.Origin | None = None) -> list[int]:
    """Returns the samples where QRS complexes start that lie wholly in the record."""
    return [
        round(beat.onset_s * RATE)
        for beat in ecg.beats
        if 0.45 < beat.onset_s < len(ecg.clean_uv) / RATE - 0.6
        and origin in (None, beat.origin)
    ]


def qrs_ms(ecg, onset: int) -> float:
    """Returns how long the leads together move fast, until they rest for 14 ms."""
    window = ecg.clean_uv[onset - 10 : onset + 110].astype(float)
    speed = np.abs(np.diff(window, axis=0)).sum(axis=1)
    fast = np.flatnonzero(speed > 0.06 * speed.max())
    rests = np.flatnonzero(np.diff(fast) > 7)
    last = fast[rests[0]] if len(rests) else fast[-1]
    return (last - fast[0] + 1) * 1000 / RATE


def mean_beat_uv(ecg, origin: rhythm.Origin | None = None) -> np.ndarray:
    """Returns the mean beat, from 400 ms before its QRS to 500 ms after."""
    beats = [ecg.clean_uv[at - 200 : at + 250] for at in onsets(ecg, origin)]
    return np.mean(beats, axis=0)


def st_uv(ecg) -> np.ndarray:
    """Returns each lead's level 60 ms after the J point, against the PR segment."""
    beat = mean_beat_uv(ecg)
    j_point = 200 + round(ecg.heart.conducted.qrs_s * RATE)
    return beat[j_point + 30] - beat[196]
