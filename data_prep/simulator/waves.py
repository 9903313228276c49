"""Waves of a heartbeat: the heart's dipole in space, projected on the leads.

The heart is a single current dipole whose x points to the left arm, y to the feet and z
to the back (Frank's axes). Each wave moves it along one direction, as a Gaussian in
time. A lead shows the projection of the dipole on its lead vector, so the leads are
consistent, and a change in one direction appears in the same leads as in a body.
Directions and sizes are set by hand to give textbook morphology, which tests measure.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

from data_prep.simulator import rhythm

SAMPLING_RATE = 500  # Hz
# Leads I, II, V1 to V6 of a dipole (x, y, z). Dower, Machado, Osborne, 1980, Clinical
# Cardiology 3:87. The other four follow from I and II by Einthoven's law.
LEAD_VECTORS = np.array(
    [
        (0.632, -0.235, 0.059),
        (0.235, 1.066, -0.132),
        (-0.515, 0.157, -0.917),
        (0.044, 0.164, -1.387),
        (0.882, 0.098, -1.277),
        (1.213, 0.127, -0.601),
        (1.125, 0.127, -0.086),
        (0.831, 0.076, 0.230),
    ]
)
# A Gaussian falls to 4 % of its height after this many standard deviations.
EXTENT = 2.5

Vector = Float[np.ndarray, "3"]
Pattern = Sequence[tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class Deflection:
    """A Gaussian in time along one direction."""

    centre_s: float
    rise_s: float  # standard deviation before the centre
    fall_s: float  # and after it
    vector_mv: Vector


@dataclasses.dataclass(frozen=True)
class Complex:
    """QRS, ST and T of one kind of beat; times run from the onset of the QRS."""

    qrs_s: float
    t_peak_s: float
    deflections: tuple[Deflection, ...]
    st_mv: Vector  # at J + 60 ms
    st_slope: float = 0.0  # relative change of it in 100 ms; > 0: away from zero


@dataclasses.dataclass(frozen=True)
class Heart:
    """The waves of one person's beats."""

    conducted: Complex  # beats that reach the ventricles by the AV node
    ectopic: Complex  # beats that start in the ventricles
    sinus_p: tuple[Deflection, ...]  # times run from the onset of P
    ectopic_p: tuple[Deflection, ...]


# Depolarisation, a deflection a row: centre and deviation as shares of QRS duration,
# then x, y, z in mV. Septum to the right and front, then the free walls to the left,
# down and back, the base last.
NARROW: Pattern = (
    (0.20, 0.080, -0.17, -0.06, -0.24),
    (0.36, 0.085, 0.30, 0.26, -0.26),
    (0.54, 0.100, 0.95, 0.78, 0.42),
    (0.69, 0.105, -0.16, -0.10, 0.46),
)
# The right ventricle comes last: a slow vector to the right and front (R' in V1, broad
# S in I and V6).
RIGHT_BUNDLE: Pattern = (
    (0.13, 0.050, -0.14, -0.05, -0.24),
    (0.24, 0.050, 0.30, 0.25, -0.10),
    (0.37, 0.065, 0.95, 0.75, 0.50),
    (0.69, 0.120, -0.42, -0.08, -0.62),
)
# The right ventricle is a little late: a small r' in V1.
INCOMPLETE_RIGHT_BUNDLE: Pattern = (
    (0.16, 0.060, -0.15, -0.05, -0.25),
    (0.29, 0.070, 0.30, 0.26, -0.22),
    (0.46, 0.085, 0.95, 0.78, 0.44),
    (0.75, 0.095, -0.20, -0.05, -0.24),
)
# The septum is crossed from right to left, so no q in I and V6; the left ventricle
# comes late and in two steps (broad notched R in I, aVL, V5, V6; rS or QS in V1).
LEFT_BUNDLE: Pattern = (
    (0.17, 0.065, 0.14, 0.06, -0.16),
    (0.39, 0.110, 0.86, 0.28, 0.68),
    (0.67, 0.120, 0.86, 0.16, 0.80),
)


def qrs(
    pattern: Pattern, qrs_s: float, rotation: Float[np.ndarray, "3 3"]
) -> tuple[Deflection, ...]:
    """Returns a pattern's deflections, `qrs_s` long and turned in space."""
    return tuple(
        Deflection(
            centre * qrs_s, width * qrs_s, width * qrs_s, rotation @ np.array(vector)
        )
        for centre, width, *vector in pattern
    )


def t_wave(qt_s: float, vector_mv: Vector) -> Deflection:
    """Returns a T wave that ends `qt_s` after the QRS onset: slow up, fast down.

    By the tangent at its steepest point it ends 76 ms after its peak at a QT of 400 ms,
    as in the controls of Panikkath et al., 2011, Circ Arrhythm Electrophysiol 4:441.
    """
    fall_s = 0.095 * qt_s
    return Deflection(qt_s - EXTENT * fall_s, 1.5 * fall_s, fall_s, vector_mv)


def p_wave(duration_s: float, vector_mv: Vector) -> tuple[Deflection, ...]:
    """Returns a P wave: the right atrium, in front, and then the left one, behind."""
    width_s = 0.16 * duration_s
    right = vector_mv * (0.45, 0.75, 0.0) + np.array([0.0, 0.0, -0.045])
    left = vector_mv * (0.75, 0.55, 0.0) + np.array([0.0, 0.0, 0.055])
    return (
        Deflection(0.40 * duration_s, width_s, width_s, right),
        Deflection(0.62 * duration_s, width_s, width_s, left),
    )


def dipole_mv(
    heart: Heart, beats: Sequence[rhythm.Beat], num_samples: int
) -> Float[np.ndarray, "time 3"]:
    """Returns the heart's dipole, in mV, without the fibrillation of its atria."""
    dipole = np.zeros((num_samples, 3))
    p_waves = {
        rhythm.Origin.SINUS: heart.sinus_p,
        rhythm.Origin.ATRIAL: heart.ectopic_p,
    }
    for beat in beats:
        ectopic = beat.origin is rhythm.Origin.VENTRICULAR
        ventricles = heart.ectopic if ectopic else heart.conducted
        _add_st(dipole, ventricles, beat.onset_s)
        for wave in ventricles.deflections:
            _add_wave(dipole, wave, beat.onset_s)
        if beat.pr_s is not None:
            for wave in p_waves[beat.origin]:
                _add_wave(dipole, wave, beat.onset_s - beat.pr_s)
    return dipole


def fibrillation_mv(
    rng: np.random.Generator, num_samples: int
) -> Float[np.ndarray, "time 3"]:
    """Returns the dipole of fibrillating atria: a sawtooth of varying rate and size.

    Two sources drift against each other; the stronger one is in front, where V1 is.
    Fine waves have 0.03 mV from peak to peak there, coarse ones more than 0.1 mV.

    References:
        Stridh, Sornmo, 2001, IEEE Trans Biomed Eng 48:105 (the saw-tooth; 4 to 9 Hz).
    """
    time_s = np.arange(num_samples) / SAMPLING_RATE
    size_mv, rate_hz = 10 ** rng.uniform(-1.7, -1.15), rng.uniform(4.5, 8.0)
    dipole = np.zeros((num_samples, 3))
    for direction in ((-0.25, 0.15, -0.95), (0.10, 0.55, 0.10)):
        drift_hz, swell_hz = rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.5)
        start, drift, swell = rng.uniform(0.0, 2 * np.pi, 3)
        # 1.5 rad at up to 0.4 Hz changes the pace by up to 0.6 Hz.
        pace = 2 * np.pi * rate_hz * rng.uniform(0.95, 1.05) * time_s + start
        pace += 1.5 * np.sin(2 * np.pi * drift_hz * time_s + drift)
        size = size_mv * (1.0 + 0.4 * np.sin(2 * np.pi * swell_hz * time_s + swell))
        saw = np.sin(pace) + np.sin(2 * pace) / 2 + np.sin(3 * pace) / 3
        dipole += np.outer(size * saw, direction)
    return dipole


def leads_mv(dipole: Float[np.ndarray, "time 3"]) -> Float[np.ndarray, "time 8"]:
    """Returns leads I, II and V1 to V6 of a dipole, in mV."""
    return np.einsum("ta,la->tl", dipole, LEAD_VECTORS)


def turn(frontal_deg: float, horizontal_deg: float) -> Float[np.ndarray, "3 3"]:
    """Returns a rotation from the left arm to the feet, and then to the back."""
    a, b = np.radians((frontal_deg, horizontal_deg))
    frontal = [(np.cos(a), -np.sin(a), 0.0), (np.sin(a), np.cos(a), 0.0), (0, 0, 1)]
    horizontal = [(np.cos(b), 0.0, -np.sin(b)), (0, 1, 0), (np.sin(b), 0.0, np.cos(b))]
    return np.array(horizontal) @ np.array(frontal)


def _add_wave(
    dipole: Float[np.ndarray, "time 3"], wave: Deflection, onset_s: float
) -> None:
    """Adds a wave to the dipole within five standard deviations of its centre."""
    centre_s = onset_s + wave.centre_s
    here = _window(dipole, centre_s - 5 * wave.rise_s, centre_s + 5 * wave.fall_s)
    time_s = np.arange(here.start, here.stop) / SAMPLING_RATE - centre_s
    width_s = np.where(time_s < 0, wave.rise_s, wave.fall_s)
    dipole[here] += np.exp(-0.5 * (time_s / width_s) ** 2)[:, None] * wave.vector_mv


def _add_st(dipole: Float[np.ndarray, "time 3"], beat: Complex, onset_s: float) -> None:
    """Adds the ST segment: a step at the J point that ends in the T wave."""
    here = _window(dipole, onset_s, onset_s + beat.t_peak_s + 0.3)
    time_s = np.arange(here.start, here.stop) / SAMPLING_RATE - onset_s
    from_j_s = time_s - beat.qrs_s
    rise = special.expit(from_j_s / 0.004)
    fall = special.expit((beat.t_peak_s - time_s) / 0.022)
    level = 1.0 + beat.st_slope * (from_j_s - 0.06) / 0.1
    dipole[here] += (rise * fall * level)[:, None] * beat.st_mv


def _window(
    dipole: Float[np.ndarray, "time 3"], start_s: float, stop_s: float
) -> slice:
    """Returns the samples from `start_s` to `stop_s` that lie in the record."""
    start = max(0, int(start_s * SAMPLING_RATE))
    stop = min(len(dipole), int(stop_s * SAMPLING_RATE) + 1)
    return slice(start, max(start, stop))
