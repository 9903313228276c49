import numpy as np
import pytest

from mrm_jax.data import cpsc_mat, leads, preprocessing, recording, wfdb_files, windows
from tests.helpers import small_predictions

LEADS = leads.LEADS
STRETCHING = windows.InputSpec(100, 1000, preprocessing.STRETCH_OR_CUT)
EXACT = windows.InputSpec(100, 1000, preprocessing.EXACT)


def of_length(num_samples, rate=500.0, **others):
    signal_mv = small_predictions.ecg_mv(num_samples)
    return recording.Recording("r", signal_mv, LEADS, rate, **others)


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("expected", [STRETCHING, EXACT])
def test_a_record_of_exact_length_gives_one_window(expected, first_only):
    given = of_length(5000)
    found = windows.cut(given, expected, first_only)
    in_shards = preprocessing.prepare_uv(
        given.signal_mv, 500, 100, 1000, preprocessing.EXACT
    )
    np.testing.assert_array_equal(found.signals_uv, in_shards[None])
    assert found.start_s == (0.0,)
    assert found.notes == ()
    assert found.recording is given


@pytest.mark.parametrize("num_samples", [3001, 4800, 5000, 5001, 7503, 15000])
@pytest.mark.parametrize("rate", [500, 257])
def test_the_first_window_equals_the_shards(num_samples, rate):
    given = of_length(num_samples, rate)
    in_shards = preprocessing.prepare_uv(
        given.signal_mv, rate, 100, 1000, preprocessing.STRETCH_OR_CUT
    )
    for first_only in (False, True):
        found = windows.cut(given, STRETCHING, first_only)
        np.testing.assert_array_equal(found.signals_uv[0], in_shards)


def test_windows_are_adjacent_and_the_last_is_aligned_to_the_end():
    given = of_length(12_345)
    found = windows.cut(given, EXACT)
    assert found.start_s == (0.0, 10.0, 14.69)
    whole_uv = np.rint(1000 * preprocessing.resample(given.signal_mv, 500, 100))
    assert len(whole_uv) == 2469
    for start, window in zip((0, 1000, 1469), found.signals_uv, strict=True):
        np.testing.assert_array_equal(window, whole_uv[start : start + 1000])


def test_two_whole_windows_do_not_overlap():
    assert windows.cut(of_length(10_000), EXACT).start_s == (0.0, 10.0)


@pytest.mark.parametrize("duration_s", [1, 4.9])
def test_records_too_short_to_stretch_raise(duration_s):
    signal_mv = small_predictions.ecg_mv(int(500 * duration_s))
    given = recording.Recording("r", signal_mv, leads.LEADS, 500)
    expected = windows.InputSpec(100, 1000, preprocessing.STRETCH_OR_CUT)
    with pytest.raises(ValueError, match="^too short: expected 50% of the 1000 samp"):
        windows.cut(given, expected)
    with pytest.raises(ValueError, match="^too short: expected 50% of the 1000 samp"):
        preprocessing.prepare_uv(
            signal_mv, 500, 100, 1000, preprocessing.STRETCH_OR_CUT
        )


def test_shorter_records_are_stretched_if_training_did_so():
    given = of_length(4000)
    found = windows.cut(given, STRETCHING)
    assert found.notes == ("stretched from 8 s to 10 s, as in training",)
    with pytest.raises(
        ValueError, match="^too short: expected 10 s or more, found 8 s"
    ):
        windows.cut(given, EXACT)


def test_notes_describe_the_conversions():
    kept = [0, 1, *range(6, 12)]
    names = tuple(LEADS[place] for place in kept)
    given = recording.Recording(
        "r", small_predictions.ecg_mv(800)[:, kept], names, 80, unit="uV"
    )
    converted, slow, computed = windows.cut(given, STRETCHING).notes
    assert converted == "converted from uV to mV"
    assert slow.startswith("recorded at 80 Hz, less than the network's 100 Hz")
    assert computed == "III, aVR, aVL, aVF computed from I and II"


@pytest.mark.parametrize(
    ("factor", "unit", "hint"),
    [
        (1000, "mV", "Are the numbers in uV, or steps of a converter"),
        (200, "mV", "steps of a converter"),
        (1000, "V", "Are the numbers in mV"),
        (1e-3, "mV", "Are the numbers in V"),
        (1e-3, "uV", "Are the numbers in mV"),
    ],
)
def test_amplitudes_of_a_wrong_unit_raise(factor, unit, hint):
    signal_mv = factor * small_predictions.ecg_mv(5000)
    given = recording.Recording("r", signal_mv, LEADS, 500, unit=unit)
    with pytest.raises(ValueError, match=f"^wrong unit: read as {unit}, .*{hint}"):
        windows.cut(given, EXACT)


def test_the_error_locates_missing_samples():
    given = of_length(5000)
    given.signal_mv[1000:1011, 7] = np.nan
    with pytest.raises(
        ValueError, match=r"^missing samples: 11 of 60000 .* 2.00 s to 2.02 s in V2$"
    ):
        windows.cut(given, EXACT)


def test_faults_after_the_first_window_are_ignored_with_first_only():
    missing, flat = of_length(15_000), of_length(15_000)
    missing.signal_mv[10_000, 7] = np.nan
    flat.signal_mv[8_000:, 7] = 0
    for given in (missing, flat):
        assert windows.cut(given, EXACT, first_only=True).start_s == (0.0,)
    with pytest.raises(ValueError, match="^missing samples: 1 "):
        windows.cut(missing, EXACT)
    with pytest.raises(
        ValueError, match=r"^flat lead: V2 constant, in the 10 s from 20 s on"
    ):
        windows.cut(flat, EXACT)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((slice(None), 3), 0.1, "^flat lead: AVR constant"),
        ((slice(3000, 3500), 8), 40.0, "^out of range: "),
        ((slice(None), slice(None)), 0.0, "^flat lead: I, II, "),
    ],
)
def test_records_that_preparation_skips_raise(place, value, message):
    given = of_length(5000)
    given.signal_mv[place] = value
    with pytest.raises(ValueError, match=message):
        windows.cut(given, EXACT)


def test_an_empty_record_raises():
    given = recording.Recording("r", np.empty((0, 12)), LEADS, 500)
    with pytest.raises(ValueError, match="^missing samples: the record is empty"):
        windows.cut(given, STRETCHING)


@pytest.mark.parametrize("rate", [499.5, 257.0, 128.1, 1000 / 3])
def test_accepts_fractional_rates(rate):
    time_s = np.arange(int(20 * rate)) / rate
    wave = np.sin(2 * np.pi * 7 * time_s)
    found = preprocessing.resample(wave[:, None], rate, 100)
    expected = np.sin(2 * np.pi * 7 * np.arange(len(found)) / 100)
    assert len(found) in (1999, 2000)
    np.testing.assert_allclose(found[20:-20, 0], expected[20:-20], atol=0.01)


def test_a_real_record_gives_one_window_equal_to_the_shards(real_data):
    for path in sorted(real_data.glob("cpsc2018/*/*.[hm]*")):
        if path.suffix == ".mat" and path.with_suffix(".hea").exists():
            continue
        original = path.suffix == ".mat"
        reader = cpsc_mat.read if original else wfdb_files.read_record
        signal_mv = reader(path) if original else reader(path)[0]
        given = recording.Recording("r", signal_mv, LEADS, 500)
        in_shards = preprocessing.prepare_uv(
            signal_mv, 500, 100, 1000, preprocessing.STRETCH_OR_CUT
        )
        found = windows.cut(given, STRETCHING)
        np.testing.assert_array_equal(found.signals_uv[0], in_shards)
        assert found.start_s[-1] == pytest.approx(given.duration_s - 10, abs=0.01)
        assert found.notes == ()
