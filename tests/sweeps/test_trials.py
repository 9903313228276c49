import optuna
import pytest
from optuna.trial import TrialState

from mrm_jax.sweeps import trials as trials_lib


def make_trials(*rows):
    """Returns attempts of (state, attributes, metrics by epoch), numbered in order."""
    attempts = []
    for number, (state, attributes, metrics) in enumerate(rows):
        attempt = optuna.trial.create_trial(
            state=state,
            value=max(metrics.values()) if state == TrialState.COMPLETE else None,
            user_attrs=attributes,
            intermediate_values=metrics,
        )
        attempt.number = number
        attempts.append(attempt)
    return attempts


def of(program, **attributes):
    return {trials_lib.PROGRAM: program, **attributes}


@pytest.mark.parametrize(("total", "expected"), [(6, [2, 2, 2]), (8, [3, 3, 2])])
def test_programs_get_equal_shares(total, expected):
    assert trials_lib.shares(total, 3) == expected


def test_no_share_shrinks_if_more_trials_are_requested():
    for total in range(40):
        fewer, more = (trials_lib.shares(total + i, 7) for i in range(2))
        assert all(a <= b for a, b in zip(fewer, more, strict=True))


def test_first_attempts_create_the_trials_of_a_program():
    states = [TrialState.RUNNING] * 5
    attributes = [of(0), of(1), of(0), {}, of(0)]
    attempts = make_trials(
        *((s, a, {}) for s, a in zip(states, attributes, strict=True))
    )
    trials = trials_lib.read(attempts, [2, 1])
    assert [(p.program, p.rank, p.attempt.number) for p in trials] == [
        (0, 0, 0),
        (1, 0, 1),
        (0, 1, 2),
    ]


def test_the_first_of_two_attempts_follows_a_lost_one():
    attempts = make_trials(
        (TrialState.FAIL, of(0), {1: 0.5}),
        (TrialState.FAIL, of(0, retry_of=0), {2: 0.6}),
        (TrialState.WAITING, of(0, retry_of=0), {}),
        (TrialState.COMPLETE, of(0, retry_of=1), {3: 0.7}),
    )
    (trial,) = trials_lib.read(attempts, [5])
    assert [attempt.number for attempt in trial.attempts] == [0, 1, 3]
    assert trial.state == "complete"
    assert trial.reported == {1: 0.5, 2: 0.6, 3: 0.7}


@pytest.mark.parametrize(
    ("state", "attributes", "metrics", "expected"),
    [
        (TrialState.WAITING, {}, {}, "waiting"),
        (TrialState.RUNNING, {"claims": [0, 0, 0]}, {}, "running"),
        (TrialState.COMPLETE, {}, {1: 0.5}, "complete"),
        (TrialState.PRUNED, {}, {1: 0.5}, "pruned"),
        (TrialState.PRUNED, {"diverged": 1}, {1: float("nan")}, "diverged"),
        (TrialState.FAIL, {}, {}, "lost"),
        (TrialState.FAIL, {"claims": [0, 0]}, {}, "lost"),
        (TrialState.FAIL, {"claims": [0, 0, 0]}, {}, "failed"),
        (TrialState.FAIL, {"claims": [0, 0, 0]}, {1: 0.5}, "lost"),
        (TrialState.FAIL, {"claims": [0, 1, 1, 1]}, {1: 0.5}, "failed"),
    ],
)
def test_state_of_a_trial(state, attributes, metrics, expected):
    (trial,) = trials_lib.read(make_trials((state, of(0, **attributes), metrics)), [1])
    assert trial.state == expected


def test_a_row_has_the_last_finite_metric():
    attempts = make_trials(
        (TrialState.PRUNED, of(0, diverged=3), {1: 0.5, 2: 0.6, 3: float("nan")})
    )
    row = trials_lib.row(trials_lib.read(attempts, [1])[0])
    assert (row.state, row.value, row.epochs) == ("diverged", 0.6, 3)
