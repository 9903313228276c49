import numpy as np
import pytest

from mrm_jax.data import leads, plausibility, preprocessing, recording, windows
from tests.helpers import small_predictions

RATE = 500


def ecg_mv(seconds=10, rate=RATE):
    """Waves of an ECG's size: a beat of 1 mV every second on a slow baseline."""
    time = np.arange(seconds * rate)[:, None] / rate
    size = np.linspace(0.5, 1.5, 12)
    beats = np.exp(-(((time % 1) - 0.5) ** 2) / 0.02**2 / 2)
    noise = np.random.default_rng(0).normal(0, 0.02, (len(time), 12))
    return size * beats + 0.05 * np.sin(time) + noise


def test_a_plausible_ecg_has_no_notes():
    assert plausibility.check(ecg_mv(), RATE) == ()


@pytest.mark.parametrize(
    ("factor", "size"), [(10, "large"), (1 / 5, "small"), (1 / 4.88, "small")]
)
def test_another_scale_is_noted(factor, size):
    (note,) = plausibility.check(factor * ecg_mv(), RATE)
    assert note.startswith(f"unusually {size} amplitude: the median lead reaches ")
    assert note.endswith("0.29 to 2.4 mV is usual. Check the unit and the gain")


def per_lead(signal):
    return (signal - signal.mean(axis=0)) / signal.std(axis=0)


def over_all_leads(signal):
    return (signal - signal.mean()) / signal.std()


def range_of_leads(signal):
    return (signal - signal.min(axis=0)) / np.ptp(signal, axis=0)


def range_of_all(signal):
    return (signal - signal.min()) / np.ptp(signal)


def by_maximum(signal):
    return signal / np.abs(signal).max(axis=0)


@pytest.mark.parametrize(
    ("normalise", "found"),
    [
        (per_lead, "each lead has mean 0 and standard deviation 1"),
        (over_all_leads, "all leads together have mean 0 and standard deviation 1"),
        (range_of_leads, "each lead ranges from 0 to 1"),
        (range_of_all, "all leads together range from 0 to 1"),
        (by_maximum, "the largest value of each lead is 1"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_normalised_signal_raises_with_its_kind(normalise, found, dtype):
    signal = normalise(ecg_mv()).astype(dtype)
    with pytest.raises(ValueError, match=f"^normalised: {found}, .* expects mV"):
        plausibility.check(signal, RATE)
    given = recording.Recording("r", signal, leads.LEADS, RATE)
    expected = windows.InputSpec(100, 1000, preprocessing.EXACT)
    with pytest.raises(ValueError, match=f"^normalised: {found}"):
        windows.cut(given, expected)


def test_stretches_without_a_signal_are_noted():
    signal = ecg_mv()
    signal[:600], signal[4000:] = 0.2, 0
    signal[2000:2400] = signal[2000]  # below a second
    signal[2600:3500, :11] = 0  # one lead is left
    (note,) = plausibility.check(signal, RATE)
    assert note == "constant stretch: no lead changes for 3.2 s (0 to 1.2 s, 8 to 10 s)"


def test_notes_reach_the_prediction_and_keep_their_place():
    signal = 10 * small_predictions.ecg_mv(5000)
    given = recording.Recording("r", signal, leads.LEADS, RATE)
    found = windows.cut(given, windows.InputSpec(100, 1000, preprocessing.EXACT))
    assert [note.partition(":")[0] for note in found.notes] == [
        "unusually large amplitude"
    ]


def test_real_records_are_never_refused_and_rarely_noted(real_data):
    from mrm_jax.data import files

    paths = sorted(real_data.glob("ptbxl_subset/records100/*/*.hea"))
    paths += sorted(real_data.glob("ptbxl_subset/records500/*/*.hea"))
    paths += sorted(real_data.glob("cpsc2018/wfdb/*.hea"))
    noted = 0
    for path in paths:
        found = files.read(path)
        signal_mv, _ = leads.complete(found.signal_mv, found.leads)
        noted += bool(plausibility.check(signal_mv, found.sampling_rate))
    assert len(paths) > 3000
    assert noted < 0.01 * len(paths)
