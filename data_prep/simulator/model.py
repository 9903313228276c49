"""A model of the resting 12-lead ECG that shows the nine classes of CPSC2018."""

import dataclasses
from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Int16

from data_prep.simulator import diagnoses, waves
from data_prep.simulator import noise as ecg_noise
from data_prep.simulator import rhythm as ecg_rhythm

UV_PER_MV = 1000


@dataclasses.dataclass(frozen=True)
class Ecg:
    """One record and its components."""

    signal_uv: Int16[np.ndarray, "time 12"]  # leads as in mrm_jax.data.leads.LEADS
    clean_uv: Int16[np.ndarray, "time 12"]  # the same before noise
    beats: tuple[ecg_rhythm.Beat, ...]
    rhythm: ecg_rhythm.Rhythm
    heart: waves.Heart


def simulate(
    rng: np.random.Generator, classes: Collection[str], age: int, num_samples: int
) -> Ecg:
    """Returns an ECG at 500 Hz that shows `classes` and no other.

    Args:
        rng: random generator of everything else.
        classes: abbreviations of CPSC2018's classes.
        age: age of the patient, years.
        num_samples: length in samples; 3000 (6 s) or more, to contain a premature beat.

    Raises:
        ValueError: if a class is unknown, or some cannot occur together.
    """
    diagnoses.check(classes)
    rhythm = diagnoses.draw_rhythm(rng, classes, age)
    heart = diagnoses.draw_heart(rng, classes, rhythm.heart_rate_bpm)
    beats = ecg_rhythm.beats(rng, rhythm, num_samples / waves.SAMPLING_RATE)
    dipole = waves.dipole_mv(heart, beats, num_samples)
    dipole = _breathe(rng, dipole, rhythm.breath_hz)
    if rhythm.fibrillation:
        dipole += waves.fibrillation_mv(rng, num_samples)
    # Bodies and the positions of electrodes differ.
    gains = rng.normal(1.0, 0.05, len(waves.LEAD_VECTORS))
    clean = gains * waves.leads_mv(dipole)
    noise = ecg_noise.noise_mv(rng, num_samples, rhythm.breath_hz)
    return Ecg(
        twelve_leads_uv(clean + noise), twelve_leads_uv(clean), beats, rhythm, heart
    )


def twelve_leads_uv(
    leads_mv: Float[np.ndarray, "time 8"],
) -> Int16[np.ndarray, "time 12"]:
    """Returns twelve leads in whole microvolts from leads I, II and V1 to V6.

    The limb leads follow from the rounded I and II, as in a recorder, so that
    III = II - I is exact, and aVR, aVL and aVF are off by half a microvolt at most.
    """
    leads = np.rint(leads_mv * UV_PER_MV)
    one, two = leads[:, 0], leads[:, 1]
    limbs = (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    return np.rint(np.column_stack([*limbs, leads[:, 2:]])).astype(np.int16)


def _breathe(
    rng: np.random.Generator, dipole: Float[np.ndarray, "time 3"], breath_hz: float
) -> Float[np.ndarray, "time 3"]:
    """Returns the dipole scaled and turned in the frontal plane by breathing."""
    time_s = np.arange(len(dipole)) / waves.SAMPLING_RATE
    breath = np.sin(2 * np.pi * breath_hz * time_s + rng.uniform(0.0, 2 * np.pi))
    angle = np.radians(rng.uniform(0.0, 6.0)) * breath
    gain = 1.0 + rng.uniform(0.0, 0.08) * breath
    x, y, z = dipole.T
    turned_x = x * np.cos(angle) - y * np.sin(angle)
    turned_y = x * np.sin(angle) + y * np.cos(angle)
    return np.column_stack([gain * turned_x, gain * turned_y, gain * z])
