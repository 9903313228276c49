import numpy as np
import pytest

from mrm_jax.data import preprocessing
from tests.helpers import raw_records


def sine(num_samples, rate, frequency_hz):
    """Returns the same sine of 1 mV in two leads, [time, 2]."""
    time_s = np.arange(num_samples) / rate
    return np.sin(2 * np.pi * frequency_hz * time_s)[:, None].repeat(2, axis=1)


@pytest.mark.parametrize("source_rate", [100, 125, 250, 257, 360, 500, 1000])
def test_resampling_preserves_a_slow_sine(source_rate):
    resampled = preprocessing.resample(
        sine(10 * source_rate, source_rate, 5), source_rate, 100
    )
    assert resampled.shape == (1000, 2)
    np.testing.assert_allclose(resampled, sine(1000, 100, 5), atol=0.01)


def test_resampling_removes_aliases():
    # At 100 Hz a sine of 80 Hz would look like one of 20 Hz.
    resampled = preprocessing.resample(sine(5000, 500, 80), 500, 100)
    assert np.abs(resampled[10:-10]).max() < 0.01
    assert np.abs(sine(5000, 500, 80)[::5]).max() > 0.9


def test_resampling_to_the_same_rate_changes_nothing():
    signal = sine(1000, 100, 7)
    np.testing.assert_array_equal(preprocessing.resample(signal, 100, 100), signal)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_resampling_a_constant_or_ramp_has_no_edge_effects(value):
    # A filter that takes the outside as zero would bend both ends.
    time_s = np.arange(5000)[:, None] / 500
    ramp = value + 0.5 * time_s
    expected = value + 0.5 * np.arange(1000)[:, None] / 100
    np.testing.assert_allclose(
        preprocessing.resample(ramp, 500, 100), expected, atol=1e-3
    )
    constant = np.full((5000, 1), value)
    np.testing.assert_allclose(
        preprocessing.resample(constant, 500, 100), value, atol=1e-3
    )


def test_longer_records_keep_their_beginning():
    signal = raw_records.digital(1500)
    cut = preprocessing.fit_length(signal, 1000, preprocessing.STRETCH_OR_CUT)
    np.testing.assert_array_equal(cut, signal[:1000])


@pytest.mark.parametrize("num_samples", [600, 963, 997, 999])
def test_shorter_records_are_stretched(num_samples):
    stretched = preprocessing.fit_length(
        sine(num_samples, 100, 5), 1000, preprocessing.STRETCH_OR_CUT
    )
    # The same waves over more samples: the frequency falls by the stretch.
    expected = sine(1000, 100, 5 * num_samples / 1000)
    assert stretched.shape == (1000, 2)
    np.testing.assert_allclose(stretched[10:-10], expected[10:-10], atol=0.02)


def test_exact_policy_rejects_another_length():
    signal = raw_records.digital(999)
    with pytest.raises(ValueError, match="wrong length: expected 1000 .* found 999"):
        preprocessing.fit_length(signal, 1000, preprocessing.EXACT)


def test_an_unknown_length_policy_raises():
    with pytest.raises(ValueError, match="unknown length policy 'crop'"):
        preprocessing.fit_length(raw_records.digital(999), 1000, "crop")


def test_every_int16_survives_conversion_to_millivolts():
    uv = np.arange(-32768, 32768)
    signal_mv = (uv / 1000).astype(np.float32)
    np.testing.assert_array_equal(preprocessing.to_microvolts(signal_mv), uv)


@pytest.mark.parametrize("value_mv", [32.768, -32.769])
def test_values_beyond_int16_raise(value_mv):
    with pytest.raises(ValueError, match="^out of range: expected -32768 to 32767 uV"):
        preprocessing.to_microvolts(np.array([[value_mv]]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_samples_raise(value):
    signal_mv = raw_records.digital() / 1000
    signal_mv[3, 6] = value
    with pytest.raises(ValueError, match="^missing samples: 1 of 12000 .* in V1$"):
        preprocessing.prepare_uv(signal_mv, 100, 100, 1000, preprocessing.EXACT)


def test_an_empty_record_raises():
    with pytest.raises(ValueError, match="^missing samples: the record is empty"):
        preprocessing.prepare_uv(
            np.empty((0, 12)), 500, 100, 1000, preprocessing.STRETCH_OR_CUT
        )


@pytest.mark.parametrize("rate", [100, 500])
def test_flat_leads_raise(rate):
    signal_mv = raw_records.digital(10 * rate) / 1000
    signal_mv[:, [1, 11]] = 0.25
    with pytest.raises(ValueError, match="^flat lead: II, V6 constant"):
        preprocessing.prepare_uv(signal_mv, rate, 100, 1000, preprocessing.EXACT)


def test_a_lead_flat_in_the_kept_part_raises():
    signal_mv = raw_records.digital(1500) / 1000
    signal_mv[:1100, 0] = 0
    with pytest.raises(ValueError, match="^flat lead: I constant"):
        preprocessing.prepare_uv(
            signal_mv, 100, 100, 1000, preprocessing.STRETCH_OR_CUT
        )


def test_resamples_before_cutting():
    signal_mv = np.cumsum(raw_records.digital(6000), axis=0) / 1e5
    expected_mv = preprocessing.resample(signal_mv, 500, 100)[:1000]
    prepared = preprocessing.prepare_uv(
        signal_mv, 500, 100, 1000, preprocessing.STRETCH_OR_CUT
    )
    assert prepared.dtype == np.int16
    np.testing.assert_array_equal(prepared, np.rint(expected_mv * 1000))


@pytest.mark.parametrize("source_rate", [100, 125, 257, 360, 500, 1000, 50])
def test_dropped_samples_do_not_affect_the_result(source_rate):
    signal_mv = np.cumsum(raw_records.digital(14 * source_rate), axis=0) / 1e5
    whole_mv = preprocessing.resample(signal_mv, source_rate, 100)[:1000]
    prepared = preprocessing.prepare_uv(
        signal_mv, source_rate, 100, 1000, preprocessing.STRETCH_OR_CUT
    )
    np.testing.assert_array_equal(prepared, np.rint(whole_mv * 1000))


def test_missing_samples_after_the_cut_are_ignored():
    signal_mv = raw_records.digital(6000) / 1000
    signal_mv[5500] = np.nan
    preprocessing.prepare_uv(signal_mv, 500, 100, 1000, preprocessing.STRETCH_OR_CUT)


def test_integers_are_resampled_as_floats():
    signal = raw_records.digital(5000)
    expected = preprocessing.resample(signal.astype(np.float32), 500, 100)
    np.testing.assert_allclose(
        preprocessing.resample(signal, 500, 100), expected, rtol=1e-6
    )
