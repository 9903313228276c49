"""Tests of the dipole, its leads and its waves against values computed by hand."""

import numpy as np
import pytest

from data_prep.simulator import rhythm, waves

RATE = waves.SAMPLING_RATE


def peak_hz(signal):
    power = np.abs(np.fft.rfft(signal - signal.mean())) ** 2
    return np.fft.rfftfreq(len(signal), 1 / RATE)[power.argmax()]


def make_heart(deflections=(), st_mv=(0.0, 0.0, 0.0)):
    beat = waves.Complex(0.09, 0.30, tuple(deflections), np.array(st_mv))
    p_wave = waves.p_wave(0.1, np.array((0.1, 0.1, 0.0)))
    return waves.Heart(beat, beat, p_wave, p_wave)


def test_a_dipole_to_the_left_is_seen_by_the_left_leads():
    lead_mv = waves.leads_mv(np.array([[1.0, 0.0, 0.0]]))[0]
    np.testing.assert_allclose(lead_mv[[0, 2, 7]], [0.632, -0.515, 0.831])


def test_a_turn_by_ninety_degrees_takes_left_to_the_feet_or_to_the_back():
    left = np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(waves.turn(90, 0) @ left, [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(waves.turn(0, 90) @ left, [0, 0, 1], atol=1e-12)


def test_a_wave_is_a_gaussian_with_two_flanks():
    wave = waves.Deflection(0.10, 0.02, 0.01, np.array((0.0, 2.0, 0.0)))
    beat = rhythm.Beat(1.0, rhythm.Origin.FIBRILLATION, None)
    dipole = waves.dipole_mv(make_heart([wave]), [beat], 1000)
    at_s = np.array([1.08, 1.10, 1.11])
    values = dipole[(at_s * RATE).round().astype(int), 1]
    np.testing.assert_allclose(values, [2 * np.exp(-0.5), 2, 2 * np.exp(-0.5)])
    assert not dipole[:, [0, 2]].any()


def test_the_st_segment_has_its_level_60_ms_after_the_j_point():
    beat = rhythm.Beat(1.0, rhythm.Origin.FIBRILLATION, None)
    dipole = waves.dipole_mv(make_heart(st_mv=(0, 0, 0.3)), [beat], 1000)
    assert dipole[round((1.0 + 0.09 + 0.06) * RATE), 2] == pytest.approx(0.3, rel=0.01)
    assert abs(dipole[[round(1.0 * RATE), round(1.6 * RATE)], 2]).max() < 1e-6


def test_beats_outside_the_record_add_only_their_overlap():
    wave = waves.t_wave(0.4, np.array((1.0, 0.0, 0.0)))
    sinus = rhythm.Origin.SINUS
    beats = [rhythm.Beat(t, sinus, 0.16) for t in (-5.0, -0.3, 1.9, 9.0)]
    dipole = waves.dipole_mv(make_heart([wave]), beats, 1000)
    assert dipole[0, 0] > 0.5
    assert np.isfinite(dipole).all()
    assert abs(dipole[400:600]).max() < 1e-6


def test_a_t_wave_ends_at_the_qt_interval():
    wave = waves.t_wave(0.4, np.ones(3))
    assert wave.centre_s + waves.EXTENT * wave.fall_s == pytest.approx(0.4)
    assert wave.rise_s > wave.fall_s
    assert 2 * wave.fall_s == pytest.approx(0.076)  # peak to end by the tangent


def test_every_depolarisation_fits_its_duration():
    for pattern in (
        waves.NARROW,
        waves.INCOMPLETE_RIGHT_BUNDLE,
        waves.RIGHT_BUNDLE,
        waves.LEFT_BUNDLE,
    ):
        for centre, width, *_ in pattern:
            assert centre - waves.EXTENT * width > -0.01
            assert centre + waves.EXTENT * width < 1.01


def test_fibrillation_waves_run_at_4_to_9_hz_and_are_largest_in_v1():
    sizes = []
    for seed in range(20):
        dipole = waves.fibrillation_mv(np.random.default_rng(seed), 5000)
        leads = waves.leads_mv(dipole)
        assert 4.0 <= peak_hz(leads[:, 2]) <= 9.0
        sizes.append(leads.std(axis=0))
    mean_size = np.mean(sizes, axis=0)
    assert mean_size[2] > mean_size[[0, 1, 6, 7]].max()
    assert 0.01 < mean_size[2] < 0.06
