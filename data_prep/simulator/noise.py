"""Noise of an ECG recorder at each electrode: wander, muscles, mains and motion."""

import numpy as np
from jaxtyping import Float
from scipy import special

from data_prep.simulator import waves

RATE = waves.SAMPLING_RATE
ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
MAINS_HZ = 50.0  # in China, where CPSC2018 was recorded


def _lead_weights() -> Float[np.ndarray, "8 9"]:
    """Returns leads I, II, V1 to V6 as weights of the electrodes' potentials."""
    weights = np.zeros((8, 9))
    weights[0, [1, 0]] = 1.0, -1.0  # I = LA - RA
    weights[1, [2, 0]] = 1.0, -1.0  # II = LL - RA
    weights[2:, 3:] = np.eye(6)
    weights[2:, :3] = -1.0 / 3.0  # Wilson's central terminal
    return weights


LEAD_WEIGHTS = _lead_weights()


def noise_mv(
    rng: np.random.Generator, num_samples: int, breath_hz: float
) -> Float[np.ndarray, "time 8"]:
    """Returns the noise of leads I, II and V1 to V6, in mV.

    It arises at the electrodes, so a bad electrode disturbs every lead that uses it.
    Its amplitude is that of a resting ECG that a technician would accept.
    """
    noise = _wander_mv(rng, num_samples, breath_hz) + _muscle_mv(rng, num_samples)
    if rng.random() < 0.25:
        noise += _mains_mv(rng, num_samples)
    if rng.random() < 0.10:
        noise += _motion_mv(rng, num_samples)
    return np.einsum("te,le->tl", noise, LEAD_WEIGHTS)


def _wander_mv(
    rng: np.random.Generator, num_samples: int, breath_hz: float
) -> Float[np.ndarray, "time 9"]:
    """Returns baseline wander: skin potentials below 0.5 Hz, and breathing."""
    time_s = np.arange(num_samples)[:, None] / RATE
    num_electrodes = len(ELECTRODES)
    size_mv = rng.uniform(0.01, 0.06)
    wander = np.zeros((num_samples, num_electrodes))
    for rate_hz in (*rng.uniform(0.05, 0.5, 3), breath_hz):
        phases = rng.uniform(0.0, 2 * np.pi, num_electrodes)
        sizes = size_mv * rng.normal(0.0, 1.0, num_electrodes)
        wander += sizes * np.sin(2 * np.pi * rate_hz * time_s + phases)
    return wander


def _muscle_mv(
    rng: np.random.Generator, num_samples: int
) -> Float[np.ndarray, "time 9"]:
    """Returns muscle and amplifier noise, stronger for a while in some records."""
    white = rng.normal(0.0, 1.0, (num_samples + 1, len(ELECTRODES)))
    noise = 0.5 * (
        white[1:] + white[:-1]
    )  # zero at 250 Hz, as behind a low-pass filter
    size_mv = 10 ** rng.uniform(-2.5, -1.85) * np.ones((num_samples, 1))
    if rng.random() < 0.2:
        centre, width = rng.uniform(0.0, num_samples), rng.uniform(300.0, 1500.0)
        offset = (np.arange(num_samples)[:, None] - centre) / width
        size_mv *= 1.0 + 2.0 * np.exp(-0.5 * offset**2)
    return size_mv * noise


def _mains_mv(
    rng: np.random.Generator, num_samples: int
) -> Float[np.ndarray, "time 9"]:
    """Returns mains hum, in step at all electrodes and of unequal size."""
    time_s = np.arange(num_samples)[:, None] / RATE
    sizes = rng.uniform(0.003, 0.02) * rng.uniform(0.3, 1.0, len(ELECTRODES))
    return sizes * np.sin(2 * np.pi * MAINS_HZ * time_s + rng.uniform(0.0, 2 * np.pi))


def _motion_mv(
    rng: np.random.Generator, num_samples: int
) -> Float[np.ndarray, "time 9"]:
    """Returns the jump of one electrode that moved, and its slow return."""
    since_s = (np.arange(num_samples) - rng.uniform(0.0, num_samples)) / RATE
    rise = special.expit(since_s / 0.01)
    jump = rise * np.exp(-np.maximum(since_s, 0.0) / 0.8)
    noise = np.zeros((num_samples, len(ELECTRODES)))
    noise[:, rng.integers(len(ELECTRODES))] = rng.normal(0.0, 0.25) * jump
    return noise
