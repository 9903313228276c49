"""Tests of the nine classes' morphology, measured on noiseless leads in microvolts."""

import itertools

import numpy as np
import pytest
from scipy import signal as scipy_signal

from data_prep import cpsc_format
from data_prep.simulator import diagnoses
from data_prep.simulator.rhythm import Origin
from tests.helpers.ecg_measures import (
    LEAD,
    RATE,
    ecgs,
    mean_beat_uv,
    onsets,
    qrs_ms,
    st_uv,
)

ONSET = 200  # the sample of a mean beat where its QRS starts
NARROW_CLASSES = ("Normal", "AF", "I-AVB", "PAC", "STD", "STE")


def rr_variation(ecg):
    """Returns std / mean of the intervals between the steepest points of the QRS."""
    speed = np.abs(np.diff(ecg.clean_uv.astype(float), axis=0)).sum(axis=1)
    peaks, _ = scipy_signal.find_peaks(speed, height=speed.max() / 2, distance=125)
    rr = np.diff(peaks)
    return rr.std() / rr.mean()


def parts(ecg, lead):
    """Returns a lead's mean beat, cut into QRS and T, against the PR segment."""
    beat = mean_beat_uv(ecg)[:, LEAD[lead]]
    j_point = ONSET + round(ecg.heart.conducted.qrs_s * RATE)
    t_peak = ONSET + round(ecg.heart.conducted.t_peak_s * RATE)
    level = beat[ONSET - 4]
    return beat[ONSET:j_point] - level, beat[t_peak] - level


def p_peaks(ecg):
    """Returns where P peaks in lead II, in ms before the QRS, beat by beat."""
    for onset in onsets(ecg, Origin.SINUS):
        # T of the beat before ends 400 ms after its QRS; rates are below 105 per min.
        before = ecg.clean_uv[onset - round(0.3 * RATE) : onset - 15, LEAD["II"]]
        peaks, facts = scipy_signal.find_peaks(before, prominence=30)
        if len(peaks):
            last = peaks[facts["prominences"].argmax()]
            yield (len(before) + 15 - last) * 1000 / RATE


def test_fibrillation_is_several_times_as_irregular_as_sinus_rhythm():
    normal = [rr_variation(ecg) for ecg in ecgs("Normal")]
    fibrillating = [rr_variation(ecg) for ecg in ecgs("AF")]
    assert max(normal) < 0.08
    assert min(fibrillating) > 0.10
    assert np.median(fibrillating) > 4 * np.median(normal)


def test_fibrillation_has_no_p_wave_synchronous_with_the_beats():
    def height(label):
        """Returns the height of the mean beat, without beats in a T wave."""
        segments = [
            ecg.clean_uv[at - 80 : at - 5, LEAD["II"]]
            for ecg in ecgs(label)
            for before, at in itertools.pairwise(onsets(ecg))
            if at - before > 0.65 * RATE
        ]
        return np.ptp(np.mean(segments, axis=0))

    assert height("Normal") > 60
    assert height("AF") < 20


def test_the_pr_interval_exceeds_200_ms_in_av_block_only():
    # P is about 100 ms long, so its peak comes 30 to 70 ms after its onset.
    blocked = [np.median(list(p_peaks(ecg))) for ecg in ecgs("I-AVB")]
    normal = [np.median(list(p_peaks(ecg))) for ecg in ecgs("Normal")]
    assert min(blocked) > 200 - 65
    assert max(normal) < 200 - 35
    assert np.mean(blocked) > np.mean(normal) + 60
    assert all(ecg.rhythm.pr_s > 0.2 for ecg in ecgs("I-AVB"))
    assert all(0.12 <= ecg.rhythm.pr_s <= 0.2 for ecg in ecgs("Normal"))


@pytest.mark.parametrize("label", NARROW_CLASSES)
def test_qrs_is_narrow_without_a_bundle_branch_block(label):
    for ecg in ecgs(label):
        assert 65 < np.median([qrs_ms(ecg, at) for at in onsets(ecg)]) < 118


@pytest.mark.parametrize("label", ["LBBB", "RBBB"])
def test_qrs_is_wide_in_a_bundle_branch_block(label):
    for ecg in ecgs(label):
        assert ecg.heart.conducted.qrs_s >= 0.12
        assert 116 < np.median([qrs_ms(ecg, at) for at in onsets(ecg)]) < 175


def test_left_bundle_branch_block_is_broad_in_v6_and_deep_in_v1():
    for ecg in ecgs("LBBB"):
        v1, t_in_v1 = parts(ecg, "V1")
        assert v1.min() < -500 and v1.max() < 0.3 * -v1.min() and t_in_v1 > 100
        for lead in ("I", "V6"):
            qrs, t_wave = parts(ecg, lead)
            assert qrs.max() > 250 and qrs.min() > -0.1 * qrs.max()  # no q, no s
            assert t_wave < -50  # against the QRS


def test_right_bundle_branch_block_has_r_prime_in_v1_and_a_broad_s_in_i_and_v6():
    for ecg in ecgs("RBBB"):
        v1, t_in_v1 = parts(ecg, "V1")
        half = len(v1) // 2
        assert v1[:half].max() > 50  # r
        assert v1.min() < -100 and v1.argmin() < v1[half:].argmax() + half  # S, then
        assert v1[half:].max() > max(250, v1[:half].max())  # R'
        assert t_in_v1 < -50
        for lead in ("I", "V6"):
            qrs, t_wave = parts(ecg, lead)
            assert qrs[len(qrs) // 2 :].min() < -100
            assert t_wave > 0


def test_a_normal_ecg_has_r_growing_from_v1_to_v4_and_upright_t():
    for ecg in ecgs("Normal"):
        v1, _ = parts(ecg, "V1")
        v4, _ = parts(ecg, "V4")
        assert v1.max() < v4.max() and -v1.min() > v1.max()
        assert all(parts(ecg, lead)[1] > 0 for lead in ("I", "II", "V4", "V5", "V6"))
        avr, t_in_avr = parts(ecg, "AVR")
        assert -avr.min() > avr.max() and t_in_avr < 0


def test_premature_beats_are_narrow_from_the_atria_and_wide_from_the_ventricles():
    for ecg in ecgs("PAC"):
        sinus = np.median([qrs_ms(ecg, at) for at in onsets(ecg, Origin.SINUS)])
        for onset in onsets(ecg, Origin.ATRIAL):
            assert qrs_ms(ecg, onset) == pytest.approx(sinus, abs=8)
    for ecg in ecgs("PVC"):
        assert onsets(ecg, Origin.VENTRICULAR)
        for onset in onsets(ecg, Origin.VENTRICULAR):
            assert qrs_ms(ecg, onset) > 120


def test_t_of_a_ventricular_beat_points_against_its_qrs():
    for ecg in ecgs("PVC"):
        beat = mean_beat_uv(ecg, Origin.VENTRICULAR)
        qrs = beat[ONSET : ONSET + round(ecg.heart.ectopic.qrs_s * RATE)]
        lead = np.abs(qrs).max(axis=0).argmax()
        t_wave = beat[ONSET + round(ecg.heart.ectopic.t_peak_s * RATE), lead]
        assert t_wave * qrs[np.abs(qrs[:, lead]).argmax(), lead] < 0


def test_st_is_elevated_in_two_leads_and_depressed_in_opposite_ones():
    for ecg in ecgs("STE"):
        st = np.sort(st_uv(ecg))
        assert st[-2] >= 100
        assert st[0] < -15


def test_st_is_depressed_in_two_leads_and_elevated_in_avr():
    for ecg in ecgs("STD"):
        st = st_uv(ecg)
        assert np.sort(st)[1] <= -95
        assert st[LEAD["AVR"]] > 40


def test_st_is_nearly_level_in_the_other_narrow_classes():
    for label in ("Normal", "AF", "I-AVB", "PAC"):
        st = np.array([st_uv(ecg) for ecg in ecgs(label)])
        assert np.sort(st, axis=1)[:, 1].min() > -75
        assert np.median(np.sort(st, axis=1)[:, -2]) < 90


def test_two_classes_can_occur_together():
    for ecg in ecgs("AF", "RBBB"):
        assert rr_variation(ecg) > 0.10
        assert parts(ecg, "V1")[0].max() > 250
    for ecg in ecgs("I-AVB", "LBBB"):
        assert ecg.rhythm.pr_s > 0.2
        assert parts(ecg, "V6")[0].min() > -100


def test_every_class_can_occur_alone():
    for label in cpsc_format.LABELS:
        diagnoses.check([label])


@pytest.mark.parametrize("classes", [(), ("AFIB",), ("AF", "Sinus")])
def test_unknown_classes_raise(classes):
    with pytest.raises(ValueError, match="expected some of Normal, AF, I-AVB"):
        diagnoses.check(classes)


@pytest.mark.parametrize(
    "classes", [("Normal", "AF"), ("AF", "I-AVB"), ("RBBB", "LBBB"), ("STE", "STD")]
)
def test_mutually_exclusive_classes_raise(classes):
    with pytest.raises(ValueError, match="Leave one of them out"):
        diagnoses.check(classes)
