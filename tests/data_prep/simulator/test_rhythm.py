"""Tests of the times of beats in each kind of rhythm."""

import numpy as np
import pytest

from data_prep.simulator import rhythm as ecg_rhythm
from data_prep.simulator.rhythm import Origin

DURATION_S = 10.0
SEEDS = range(40)


def make_beats(seed, **changes):
    facts = {"heart_rate_bpm": 75.0, "rr_variation": 0.0, "breath_hz": 0.25}
    rhythm = ecg_rhythm.Rhythm(**(facts | {"pr_s": 0.16} | changes))
    return ecg_rhythm.beats(np.random.default_rng(seed), rhythm, DURATION_S)


def intervals(beats):
    return np.diff([beat.onset_s for beat in beats])


def around(beats, origin):
    """Yields the intervals before and after each beat of an origin."""
    rr = intervals(beats)
    for index, beat in enumerate(beats):
        if beat.origin is origin:
            yield rr[index - 1], rr[index]


def test_sinus_rhythm_without_variation_is_periodic():
    beats = make_beats(0)
    np.testing.assert_allclose(intervals(beats), 60 / 75)
    assert {beat.origin for beat in beats} == {Origin.SINUS}
    assert {beat.pr_s for beat in beats} == {0.16}


def test_beats_reach_beyond_both_ends_of_the_record():
    for fibrillation in (False, True):
        beats = make_beats(0, fibrillation=fibrillation, rr_variation=0.2)
        assert beats[0].onset_s < -1.0
        assert beats[-1].onset_s > DURATION_S + 0.5


def test_respiration_moves_sinus_intervals_by_a_few_percent():
    rr = intervals(make_beats(0, rr_variation=0.05))
    assert 0.01 < rr.std() / rr.mean() < 0.08


def test_fibrillation_has_independent_intervals_and_no_p_waves():
    beats = [make_beats(s, fibrillation=True, rr_variation=0.22) for s in SEEDS]
    rr = np.concatenate([intervals(record) for record in beats])
    assert rr.mean() == pytest.approx(60 / 75, rel=0.05)
    assert rr.std() / rr.mean() == pytest.approx(0.22, rel=0.15)
    assert rr.min() > 0.3
    assert abs(np.corrcoef(rr[:-1], rr[1:])[0, 1]) < 0.15
    assert all(beat.pr_s is None for record in beats for beat in record)


@pytest.mark.parametrize("rate", [50.0, 75.0, 105.0])
def test_premature_atrial_beats_are_early_and_reset_the_sinus_node(rate):
    normal_s = 60 / rate
    for seed in SEEDS:
        beats = make_beats(seed, heart_rate_bpm=rate, ectopy=Origin.ATRIAL)
        pairs = list(around(beats, Origin.ATRIAL))
        assert pairs
        for before, after in pairs:
            assert before < 0.8 * normal_s
            assert normal_s < after
            assert before + after < 1.96 * normal_s  # the pause is incomplete
        assert all(beat.pr_s for beat in beats)


@pytest.mark.parametrize("rate", [50.0, 75.0, 105.0])
def test_premature_ventricular_beats_have_no_p_and_a_full_compensatory_pause(rate):
    normal_s = 60 / rate
    for seed in SEEDS:
        beats = make_beats(seed, heart_rate_bpm=rate, ectopy=Origin.VENTRICULAR)
        pairs = list(around(beats, Origin.VENTRICULAR))
        assert pairs
        for before, after in pairs:
            assert before < 0.76 * normal_s
            assert before + after == pytest.approx(2 * normal_s)
        assert all(b.pr_s is None for b in beats if b.origin is Origin.VENTRICULAR)


def test_even_the_shortest_and_slowest_record_shows_a_premature_beat():
    rhythm = ecg_rhythm.Rhythm(48.0, 0.06, 0.25, 0.16, ectopy=Origin.ATRIAL)
    for seed in SEEDS:
        beats = ecg_rhythm.beats(np.random.default_rng(seed), rhythm, 6.0)
        early = [b.onset_s for b in beats if b.origin is Origin.ATRIAL]
        assert any(0.4 < onset_s < 5.0 for onset_s in early)
