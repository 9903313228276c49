import itertools

import numpy as np
import pytest

from mrm_jax.data import leads
from tests.helpers import small_predictions

LIMB = ("I", "II", "III", "AVR", "AVL", "AVF")
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")


PAIRS = list(itertools.combinations(range(6), 2))


def from_electrodes(seed=0, num_samples=50):
    """Returns the limb leads [time, 6] as the electrodes' potentials define them."""
    right, left, foot = np.random.default_rng(seed).normal(size=(3, num_samples))
    return np.stack(
        [
            left - right,
            foot - right,
            foot - left,
            right - (left + foot) / 2,
            left - (right + foot) / 2,
            foot - (right + left) / 2,
        ],
        axis=1,
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("aVR", "AVR"),
        (" avf ", "AVF"),
        ("'V1'", "V1"),
        ("v6", "V6"),
        ("C3", "V3"),
        ("DII", "II"),
        ("Lead I", "I"),
        ("ECG lead_aVL", "AVL"),
        ("-aVR", "-AVR"),  # upside down: another lead
        ("MLII", "MLII"),  # electrodes on the chest: another lead
        ("Resp", "RESP"),
    ],
)
def test_standardises_names(given, expected):
    assert leads.standard_name(given) == expected


def test_a_duplicate_lead_raises():
    with pytest.raises(ValueError, match="^doubled lead: aVR; found aVR, I, AVR"):
        leads.standard_names(["aVR", "I", "AVR"])


@pytest.mark.parametrize("pair", PAIRS)
def test_any_two_limb_leads_determine_the_other_four(pair):
    limb, chest = from_electrodes(), np.random.default_rng(1).normal(size=(50, 6))
    names = (*CHEST, *(LIMB[place] for place in pair))
    signal, notes = leads.complete(np.hstack([chest, limb[:, list(pair)]]), names)
    np.testing.assert_allclose(signal, np.hstack([limb, chest]), atol=1e-12)
    assert len(notes) == 1
    assert notes[0].endswith(
        "computed from " + " and ".join(leads.spelt(LIMB[place]) for place in pair)
    )


def test_computing_a_missing_lead_keeps_the_others():
    signal_mv = small_predictions.ecg_mv().astype(np.float32)
    there = [name for name in leads.LEADS if name != "AVL"]
    columns = [leads.LEADS.index(name) for name in there]
    signal, notes = leads.complete(signal_mv[:, columns], there)
    assert signal.dtype == np.float32
    np.testing.assert_array_equal(signal[:, columns], signal_mv[:, columns])
    np.testing.assert_allclose(signal[:, 4], signal_mv[:, 4], atol=0.002)
    assert notes == ("aVL computed from I and II",)


def test_accepts_any_order_and_extra_leads():
    signal_mv = small_predictions.ecg_mv()
    names = ("VX", *reversed(leads.LEADS))
    shuffled = np.hstack([np.zeros((len(signal_mv), 1)), signal_mv[:, ::-1]])
    signal, notes = leads.complete(shuffled, names)
    np.testing.assert_array_equal(signal, signal_mv)
    assert notes == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((*LIMB, *CHEST[:4]), r"^missing lead: no V5, V6 \(every chest lead"),
        (("AVR", *CHEST), r"^missing lead: no I, II, III, aVL, aVF \(two limb leads"),
        (("MLII", "V5"), r"no I, II, III, .* V6 .*; found MLII, V5$"),
        ((), "found none"),
    ],
)
def test_an_underivable_lead_raises_with_its_name(names, message):
    with pytest.raises(ValueError, match=message):
        leads.complete(np.ones((10, len(names))), names)


@pytest.mark.parametrize("places", PAIRS)
def test_interchanged_limb_leads_are_detected(places):
    limb = from_electrodes()
    limb[:, places] = limb[:, places[::-1]]
    (note,) = leads.contradictions(np.hstack([limb, limb]))
    assert "the limb leads contradict each other" in note


def test_offsets_and_rounding_are_not_contradictions():
    limb = np.round(from_electrodes(num_samples=500), 2) + np.arange(6)
    assert leads.contradictions(np.hstack([limb, limb])) == ()


def test_derived_limb_leads_match_real_records(real_data):
    from mrm_jax.data import wfdb_files

    paths = sorted(real_data.glob("ptbxl_subset/records500/*/*.hea"))
    paths += sorted(real_data.glob("cpsc2018/wfdb/*.hea"))
    assert len(paths) > 40
    for path in paths:
        whole, _ = wfdb_files.read_record(path)
        kept = [0, 2, *range(6, 12)]  # without II and the augmented ones
        names = [leads.LEADS[place] for place in kept]
        signal, notes = leads.complete(whole[:, kept], names)
        assert notes == ("II, aVR, aVL, aVF computed from I and III",)
        assert np.abs(signal - whole).max() < 0.02  # mV
        assert leads.contradictions(whole) == ()
