"""Tests of whole records: the leads' geometry, the noise, the random numbers."""

import numpy as np
import pytest

from data_prep import cpsc_format
from data_prep.simulator import model
from data_prep.simulator import noise as ecg_noise
from tests.helpers.ecg_measures import LEAD, ecgs

pytestmark = pytest.mark.slow


def test_derives_twelve_leads_from_eight():
    leads_mv = np.array([[0.4, 1.0, -0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    expected = [400, 1000, 600, -700, -100, 800, -100, 200, 300, 400, 500, 600]
    assert model.twelve_leads_uv(leads_mv).tolist() == [expected]


@pytest.mark.parametrize("label", cpsc_format.LABELS)
def test_limb_leads_obey_einthoven_and_goldberger(label):
    for ecg in ecgs(label):
        leads = {name: ecg.signal_uv[:, i].astype(int) for name, i in LEAD.items()}
        one, two = leads["I"], leads["II"]
        np.testing.assert_array_equal(leads["III"], two - one)
        assert abs(2 * leads["AVR"] + one + two).max() <= 1
        assert abs(2 * leads["AVL"] - 2 * one + two).max() <= 1
        assert abs(2 * leads["AVF"] - 2 * two + one).max() <= 1


def test_records_have_the_amplitude_of_an_ecg():
    for label in cpsc_format.LABELS:
        for ecg in ecgs(label):
            assert ecg.signal_uv.dtype == np.int16 and ecg.signal_uv.shape == (5000, 12)
            assert 400 < np.ptp(ecg.clean_uv, axis=0).max() < 8000
            noise = ecg.signal_uv[:, 0].astype(float) - ecg.clean_uv[:, 0]
            assert 2 < noise.std() < 300


def test_the_generator_determines_the_record():
    def signal(seed):
        rng = np.random.default_rng(seed)
        return model.simulate(rng, ["AF"], 70, 3000).signal_uv

    np.testing.assert_array_equal(signal(1), signal(1))
    assert (signal(1) != signal(2)).any()


def test_impossible_classes_raise():
    with pytest.raises(ValueError, match="AF and PAC"):
        model.simulate(np.random.default_rng(0), ["PAC", "AF"], 50, 5000)


def test_right_arm_noise_reaches_every_lead_but_v1_noise_only_v1():
    weights = ecg_noise.LEAD_WEIGHTS  # leads I, II, V1 to V6 by RA, LA, LL, V1 to V6
    np.testing.assert_allclose(weights[:, 0], [-1, -1] + [-1 / 3] * 6)
    np.testing.assert_array_equal(weights[:, 3], [0, 0, 1, 0, 0, 0, 0, 0])
    # What is common to all electrodes is seen by no lead.
    np.testing.assert_allclose(weights.sum(axis=1), 0.0, atol=1e-12)


def test_noise_is_mostly_slow_wander_and_50_hz_mains():
    num_samples = 10_000  # 20 s
    rates = np.fft.rfftfreq(num_samples, 1 / ecg_noise.RATE)
    rngs = map(np.random.default_rng, range(20))
    noise = [ecg_noise.noise_mv(rng, num_samples, 0.25) for rng in rngs]
    power = np.mean([np.abs(np.fft.rfft(n[:, 0])) ** 2 for n in noise], axis=0)
    slow = power[(rates > 0.04) & (rates < 0.6)].sum()
    middle = power[(rates > 2) & (rates < 48)].sum()
    assert slow > 10 * middle
    assert rates[rates > 5][power[rates > 5].argmax()] == pytest.approx(50.0, abs=0.1)
