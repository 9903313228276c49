"""How each class of CPSC2018 changes the rhythm and the waves of a heart.

References:
    AHA 2009: AHA/ACCF/HRS recommendations for the standardization and interpretation of
        the electrocardiogram; J Am Coll Cardiol 53:976 (part III, conduction), 53:982
        (part IV, ST, T and QT) and 53:1003 (part VI, ischaemia).
    Rijnbeek et al., 2014: normal values of the electrocardiogram for ages 16 to 90,
        J Electrocardiol 47:914.
"""

from collections.abc import Collection

import numpy as np
from jaxtyping import Float

from data_prep import cpsc_format
from data_prep.simulator import rhythm
from data_prep.simulator import waves as ecg_waves

# Normal occurs alone. The others may occur together, except for these pairs, which
# exclude each other, mask each other, or are not modelled.
EXCLUSIVE = tuple(
    map(
        frozenset,
        (
            ("AF", "I-AVB"),  # no P waves, no PR interval
            ("AF", "PAC"),
            ("AF", "PVC"),
            ("PAC", "PVC"),
            ("LBBB", "RBBB"),
            ("LBBB", "STD"),  # the block shifts ST by itself
            ("LBBB", "STE"),
            ("STD", "STE"),
        ),
    )
)
# Directions (x, y, z; Frank) of the injury current; their length does not matter.
ELEVATION = {
    "anterior": (0.35, -0.25, -0.90),  # V1 to V4; reciprocal in III, aVF
    "inferior": (-0.25, 0.95, 0.15),  # II, III, aVF; reciprocal in I, aVL
    "lateral": (0.90, -0.45, 0.10),  # I, aVL, V4 to V6; reciprocal in III
}
DEPRESSION = {  # towards aVR, which is elevated
    "anterolateral": (-0.75, -0.45, 0.35),
    "lateral": (-0.90, -0.20, 0.05),
    "inferolateral": (-0.50, -0.75, 0.15),
}
# Main vectors of ectopic ventricular beats, in mV, by the place where they start.
VENTRICULAR_FOCI = (
    (0.30, 1.25, 0.55),  # right outflow tract: like LBBB, tall in II, III, aVF
    (0.90, -0.80, 0.75),  # right apex: like LBBB, negative in II, III, aVF
    (-0.85, 0.45, -0.80),  # left free wall: like RBBB, negative in I and V6
    (-0.45, -0.95, -0.70),  # left septum, below: like RBBB, negative in II, III, aVF
)
# The main vector of LBBB, in mV: ST and T point away from it.
LEFT_BUNDLE_MAIN = np.array((0.86, 0.22, 0.74))
# Incomplete right bundle branch block: rSr' in V1 and QRS of 110 to 120 ms (AHA 2009,
# part III). It is not a class of CPSC2018, so it may occur with any of them.
INCOMPLETE_SHARE = 0.05
NARROW_QRS_S = 0.09  # Rijnbeek 2014: median 88 ms in women, 96 ms in men


def check(classes: Collection[str]) -> None:
    """Raises ValueError unless the classes exist and can occur together."""
    unknown = sorted(set(classes) - set(cpsc_format.LABELS))
    if unknown or not classes:
        raise ValueError(
            f"expected some of {', '.join(cpsc_format.LABELS)}; found {sorted(classes)}"
        )
    clash = [sorted(pair) for pair in EXCLUSIVE if pair <= set(classes)]
    if clash or ("Normal" in classes and len(classes) > 1):
        raise ValueError(
            f"ECGs with {' and '.join(sorted(classes))} are not modelled. "
            "Leave one of them out."
        )


def draw_rhythm(
    rng: np.random.Generator, classes: Collection[str], age: int
) -> rhythm.Rhythm:
    """Returns a rhythm for the classes; sinus arrhythmia decreases with age."""
    fibrillation = "AF" in classes
    if fibrillation:  # rate under treatment; ESC 2020 aims at less than 110 per minute
        heart_rate, variation = rng.uniform(60.0, 120.0), rng.uniform(0.17, 0.28)
    else:  # in a fast rhythm the early P of an AV block would vanish in T
        fastest = 85.0 if "I-AVB" in classes else 105.0
        heart_rate = rng.triangular(50.0, 72.0, fastest)
        variation = rng.uniform(0.005, 0.06) * (1.2 - age / 100.0)
    # PR is 120 to 200 ms; above, the AV block is of the first degree (AHA 2009).
    pr_s = rng.uniform(0.125, 0.192)
    if "I-AVB" in classes:
        pr_s = rng.triangular(0.207, 0.230, 0.340)
    ectopy = None
    if "PAC" in classes:
        ectopy = rhythm.Origin.ATRIAL
    elif "PVC" in classes:
        ectopy = rhythm.Origin.VENTRICULAR
    breath_hz = rng.uniform(0.18, 0.35)  # 11 to 21 breaths per minute
    return rhythm.Rhythm(heart_rate, variation, breath_hz, pr_s, fibrillation, ectopy)


def draw_heart(
    rng: np.random.Generator, classes: Collection[str], heart_rate_bpm: float
) -> ecg_waves.Heart:
    """Returns the waves of a person with the classes."""
    blocked = {"LBBB", "RBBB"} & set(classes)
    spread = 0.5 if blocked else 1.0  # a block determines the axis
    turn = ecg_waves.turn(
        frontal_deg=np.clip(rng.normal(0.0, 16.0), -35.0, 35.0) * spread,
        horizontal_deg=np.clip(rng.normal(0.0, 10.0), -18.0, 18.0) * spread,
    )
    size = np.exp(rng.normal(0.0, 0.2))
    # QTc is 350 to 450 ms (AHA 2009, part IV), here by Fridericia's formula.
    qt_s = rng.normal(0.400, 0.014) * (60.0 / heart_rate_bpm) ** (1 / 3)
    sinus_p = rng.uniform(0.75, 1.25) * np.array((0.09, 0.13, 0.0))  # 0.1-0.2 mV in II
    ectopic_p = np.array((rng.uniform(-0.08, 0.10), rng.uniform(-0.14, 0.06), 0.0))
    return ecg_waves.Heart(
        _conducted(rng, classes, size * turn, qt_s),
        _ventricular(rng, size, qt_s),
        ecg_waves.p_wave(rng.uniform(0.085, 0.115), turn @ sinus_p),
        ecg_waves.p_wave(rng.uniform(0.075, 0.105), ectopic_p),
    )


def _conducted(
    rng: np.random.Generator,
    classes: Collection[str],
    turn: Float[np.ndarray, "3 3"],
    qt_s: float,
) -> ecg_waves.Complex:
    """Returns QRS, ST and T of the beats that are conducted by the AV node."""
    pattern = ecg_waves.NARROW
    qrs_s = np.clip(rng.normal(NARROW_QRS_S, 0.008), 0.075, 0.108)
    st_mv = rng.normal((0.012, 0.008, -0.022), 0.018)  # up to 0.1 mV in V2 is normal
    t_mv = rng.normal((0.32, 0.22, -0.14), (0.06, 0.05, 0.06))
    # A complete bundle branch block takes 120 ms or more (AHA 2009, part III).
    if "LBBB" in classes:
        pattern, qrs_s = ecg_waves.LEFT_BUNDLE, rng.uniform(0.126, 0.160)
        st_mv = -rng.uniform(0.06, 0.14) * LEFT_BUNDLE_MAIN
        t_mv = -rng.uniform(0.28, 0.42) * LEFT_BUNDLE_MAIN
    elif "RBBB" in classes:  # ST and T point away from the late vector, to the back
        pattern, qrs_s = ecg_waves.RIGHT_BUNDLE, rng.uniform(0.122, 0.150)
        st_mv[2] += rng.uniform(0.02, 0.05)
        t_mv[2] += rng.uniform(0.28, 0.42)
    elif rng.random() < INCOMPLETE_SHARE:
        pattern = ecg_waves.INCOMPLETE_RIGHT_BUNDLE
        qrs_s = rng.uniform(0.108, 0.117)
    st_mv, t_mv, st_slope = turn @ st_mv, turn @ t_mv, 0.0
    if "STE" in classes:
        st_mv, st_slope = _elevation_mv(rng), rng.uniform(0.0, 0.4)
        t_mv *= rng.uniform(0.9, 1.5)
    elif "STD" in classes:  # horizontal or downsloping, T flat or inverted
        st_mv, st_slope = _depression_mv(rng), rng.uniform(0.0, 0.25)
        t_mv *= rng.uniform(-0.6, 0.7)
    # Late depolarisation delays repolarisation by as much.
    t_wave = ecg_waves.t_wave(qt_s + qrs_s - NARROW_QRS_S, t_mv)
    waves = ecg_waves.qrs(_individual(rng, pattern), qrs_s, turn)
    return ecg_waves.Complex(qrs_s, t_wave.centre_s, (*waves, t_wave), st_mv, st_slope)


def _elevation_mv(rng: np.random.Generator) -> ecg_waves.Vector:
    """Returns an injury current that lifts ST by 0.1 mV or more in two leads.

    AHA 2009, part VI: 0.1 mV, but 0.15 (women) or 0.2 mV (men) in V2 and V3.
    """
    territory = str(rng.choice(list(ELEVATION)))
    least_mv = 0.16 if territory == "anterior" else 0.115
    return _scaled(ELEVATION[territory], least_mv + rng.exponential(0.07))


def _depression_mv(rng: np.random.Generator) -> ecg_waves.Vector:
    """Returns an injury current that lowers ST by 0.1 mV or more in two leads.

    AHA 2009, part VI, requires 0.05 mV only; the readers of CPSC2018 saw more.
    """
    territory = str(rng.choice(list(DEPRESSION)))
    return _scaled(DEPRESSION[territory], -0.12 - rng.exponential(0.06))


def _scaled(direction: tuple[float, ...], shift_mv: float) -> ecg_waves.Vector:
    """Returns a dipole that shifts the second most affected lead by `shift_mv`."""
    vector = np.array(direction)
    one, two, *chest = ecg_waves.LEAD_VECTORS @ vector
    leads = np.array([one, two, two - one, one - two / 2, two - one / 2, *chest])
    second = np.sort(leads * np.sign(shift_mv))[-2]
    return vector * min(abs(shift_mv), 0.45) / second


def _ventricular(
    rng: np.random.Generator, size: float, qt_s: float
) -> ecg_waves.Complex:
    """Returns a beat that starts in the ventricles: slow, wide, T opposite to QRS."""
    main = size * rng.uniform(0.8, 1.3) * np.array(rng.choice(VENTRICULAR_FOCI))
    aside = ecg_waves.turn(rng.normal(0.0, 30.0), rng.normal(0.0, 30.0))
    qrs_s = rng.uniform(0.130, 0.170)  # 120 ms or more
    pattern = (
        (0.26, 0.10, *(0.45 * aside @ main)),
        (0.50, 0.14, *main),
        (0.76, 0.09, *(0.2 * main)),
    )
    waves = ecg_waves.qrs(pattern, qrs_s, np.eye(3))
    t_mv = -rng.uniform(0.35, 0.50) * main
    t_wave = ecg_waves.t_wave(qt_s + qrs_s - NARROW_QRS_S, t_mv)
    return ecg_waves.Complex(qrs_s, t_wave.centre_s, (*waves, t_wave), -0.1 * main)


def _individual(
    rng: np.random.Generator, pattern: ecg_waves.Pattern
) -> ecg_waves.Pattern:
    """Returns a pattern whose deflections vary slightly in time and size."""
    return [
        (
            centre * rng.normal(1.0, 0.03),
            width,
            *(rng.normal(1.0, 0.12) * np.array(xyz)),
        )
        for centre, width, *xyz in pattern
    ]
