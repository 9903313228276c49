import numpy as np
import pytest

from mrm_jax.data import leads, recording

LEADS = leads.LEADS


def test_names_and_numbers_are_normalised():
    signal_mv = np.arange(30, dtype=np.int16).reshape(10, 3)
    made = recording.Recording("r", signal_mv, ("aVR", "c1", "x"), np.int64(500))
    assert made.leads == ("AVR", "V1", "X")
    assert made.signal_mv.dtype == np.float64
    assert made.duration_s == 0.02


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_precision_is_preserved(dtype):
    signal_mv = np.zeros((10, 12), dtype)
    made = recording.Recording("r", signal_mv, LEADS, 500)
    assert made.signal_mv is signal_mv


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((12, 5000), r"expected \[time, 12 leads\], found \(12, 5000\). Transpose it"),
        ((5000, 8), r"found \(5000, 8\). Pass the names of its leads"),
        ((5000,), r"found \(5000,\)$"),
        ((3, 5000, 12), r"found \(3, 5000, 12\)$"),
    ],
)
def test_invalid_shapes_raise(shape, message):
    with pytest.raises(ValueError, match=f"^wrong shape: .*{message}"):
        recording.Recording("r", np.zeros(shape), LEADS, 500)


@pytest.mark.parametrize("signal", [np.zeros((9, 12), complex), [["a"] * 12]])
def test_non_numeric_signals_raise(signal):
    with pytest.raises(ValueError, match="^unreadable: expected numbers"):
        recording.Recording("r", signal, LEADS, 500)


@pytest.mark.parametrize("rate", [0, -100, 0.5, np.nan, np.inf, 1e6, None, "x"])
def test_implausible_rates_raise(rate):
    with pytest.raises(ValueError, match="^wrong rate: expected 50 to 100,000 Hz"):
        recording.Recording("r", np.zeros((9, 12)), LEADS, rate)


def test_names_in_a_single_string_raise():
    with pytest.raises(ValueError, match="^leads: expected a sequence .*'I,II'"):
        recording.Recording("r", np.zeros((9, 2)), "I,II", 500)


@pytest.mark.parametrize(
    ("text", "unit"),
    [("mV", "mV"), ("MV", "mV"), ("uv", "uV"), ("µV", "uV"), ("μV", "uV"), ("V", "V")],
)
def test_accepts_units_in_any_spelling(text, unit):
    assert recording.unit_name(text) == unit


def test_an_unknown_unit_raises():
    with pytest.raises(ValueError, match="^wrong unit: expected mV, uV, V, found 'mm'"):
        recording.unit_name("mm")


def test_converts_to_millivolts():
    np.testing.assert_allclose(recording.to_mv(np.array([250.0]), "uV"), [0.25])
    np.testing.assert_allclose(recording.to_mv(np.array([0.00025]), "V"), [0.25])
    signal_mv = np.zeros(3, np.float32)
    assert recording.to_mv(signal_mv, "mV") is signal_mv
