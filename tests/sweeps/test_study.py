"""Tests of a study in one process; test_study_processes.py tests several."""

import dataclasses
import math

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments import base
from mrm_jax.sweeps import search_space, study, trials
from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps import study_spec as spec_lib

pytestmark = pytest.mark.slow

RATES = search_space.check(
    {
        "hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "model.width": CategoricalDistribution([8, 16]),
    },
    base.get_config(),
)
GRID = search_space.check(
    {
        "hparams.temperature": CategoricalDistribution([1.0, 2.0, 4.0]),
        "seed": IntDistribution(1, 2),
        "model.width": CategoricalDistribution([8, 16]),
    },
    base.get_config(),
)
ONE_PROGRAM = search_space.check(
    {"hparams.dropout_rate": FloatDistribution(0, 1)}, base.get_config()
)
COMMON = {
    "name": "sweep",
    "space": RATES,
    "trials": 6,
    "num_epochs": 2,
    "sampler": "random",
    "pruner": "none",
    "config": "abc",
}


@pytest.fixture(params=["journal", "sqlite"])
def storage(request, tmp_path):
    file = tmp_path / f"study.{request.param}"
    return f"sqlite:///{file}" if request.param == "sqlite" else str(file)


@pytest.fixture
def join(tmp_path):
    """Joins the study as a worker; a worker that is not closed is one that died."""
    joined = []

    def join_as(worker="a", storage=None, **changes):
        study_spec = study.StudySpec(**COMMON | changes)
        place = storage or str(tmp_path / "study.journal")
        joined.append(study.Study(place, study_spec, worker, patience_s=1))
        return joined[-1]

    yield join_as
    for worker in joined:
        worker.close()


def train(worker, value_of, program=None):
    """Trains one trial; returns its lease, or None if none is open."""
    lease = worker.acquire(program)
    if lease is None:
        return None
    for epoch in range(1, worker._spec.num_epochs + 1):
        value = value_of(lease.values, epoch)
        verdict = worker.report(lease, epoch, value)
        if verdict is study.Verdict.PRUNE:
            assert worker.prune(lease)
            return lease
        assert verdict is study.Verdict.GO_ON
    assert worker.finish(lease, value)
    return lease


def train_all(worker, value_of=lambda values, epoch: epoch):
    leases = []
    while (lease := train(worker, value_of)) is not None:
        leases.append(lease)
    return leases


@pytest.mark.parametrize("sampler", ["tpe", "random", "sobol"])
def test_trains_the_requested_trials_equally_over_programs(join, sampler):
    worker = join(trials=13, sampler=sampler)
    leases = train_all(worker)
    widths = [lease.values["model.width"] for lease in leases]
    assert (widths.count(8), widths.count(16)) == (7, 6)
    assert all(
        lease.values["model.width"] == RATES.programs[lease.program]["model.width"]
        for lease in leases
    )
    progress = worker.progress()
    assert progress == study.Progress(total=13, ended=13, running=0, open=(0, 0))
    assert progress.done


def test_a_grid_is_covered_once_by_two_workers(join):
    study_spec = {"space": GRID, "sampler": "grid", "trials": 1000}
    a, b = join("a", **study_spec), join("b", **study_spec)
    leases = []
    while (held := [w.acquire() for w in (a, b)]) != [None, None]:
        leases += [lease for lease in held if lease is not None]
    found = {tuple(sorted(lease.values.items())) for lease in leases}
    assert len(leases) == len(found) == a.progress().total == 12


def test_another_patience_is_another_sweep(join):
    join(patience=3)
    with pytest.raises(ValueError, match="patience: 3 in the study, 0 here"):
        join("b")


def test_a_study_of_an_earlier_version_has_any_patience(join):
    worker = join()
    stored = dict(worker._leases.study.user_attrs[spec_lib.SPEC])
    del stored["patience"]
    worker._leases.study.set_user_attr(spec_lib.SPEC, stored)
    join("b", patience=3)


def test_workers_spread_over_the_programs(join):
    a, b = join("a"), join("b")
    assert (a.acquire().program, b.acquire().program) == (0, 1)


def test_a_program_with_all_trials_leased_has_none_open(join):
    worker = join()
    assert [worker.acquire(1).program for _ in range(3)] == [1, 1, 1]
    assert worker.acquire(1) is None
    assert worker.progress().open == (3, 0)


def test_a_worker_of_another_sweep_raises(join):
    join("a")
    with pytest.raises(ValueError, match="created for a different sweep") as error:
        join("b", num_epochs=3, config="xyz", sampler="tpe", trials=5, space=GRID)
    for line in [
        "num_epochs: 2 in the study, 3 here",
        "config: 'abc' in the study, 'xyz' here",
        "sampler: 'random' in the study, 'tpe' here",
        "space.seed: None in the study, {'name': 'IntDistribution'",
        "space.hparams.learning_rate: {'name': 'FloatDistribution'",
    ]:
        assert line in str(error.value)


def test_fewer_trials_than_before_name_their_flag(join):
    join("a")
    for flag in ("--trials", "--seeds"):
        message = f"{flag}: the study 'sweep' was given 6 .*Pass 6 or more, got 5"
        with pytest.raises(ValueError, match=message):
            join("b", trials=5, trials_flag=flag)


def test_a_study_not_created_by_a_sweep_raises(join, storage):
    opened = storage_lib.open_storage(storage, 1, 3)
    optuna.create_study(storage=opened, study_name="sweep").enqueue_trial({})
    storage_lib.close(opened)
    with pytest.raises(ValueError, match="'sweep' was not created by a sweep"):
        join(storage=storage)


def test_a_finished_sweep_resumes_if_more_trials_are_requested(join):
    first = train_all(join("a"))
    assert join("a").acquire() is None
    more = train_all(join("a", trials=9))
    assert len(first + more) == 9
    assert len({tuple(lease.values.items()) for lease in first + more}) == 9
    assert len(join("b", trials=9).table()) == 9


def test_a_running_worker_notices_more_requested_trials(join):
    worker = join("a")
    train_all(worker)
    join("b", trials=8)
    assert worker.progress().total == 8
    assert worker.acquire() is not None


def test_points_do_not_depend_on_workers_or_crashes(join, tmp_path):
    alone = train_all(join("a"))
    journal = str(tmp_path / "other.journal")
    for _ in range(2):
        join("dying", journal).acquire()
    rest = train_all(join("dying", journal))
    found = [row.values for row in join("reader", journal).table()]
    assert len(rest) == 6
    assert sorted(map(str, found)) == sorted(str(lease.values) for lease in alone)


def test_a_restarted_worker_resumes_its_own_trials(join, storage):
    before = join("a", storage)
    lease = before.acquire()
    before.report(lease, 1, 0.5)
    other = join("b", storage).acquire(lease.program)
    after = join("a", storage)
    again = after.acquire()
    assert (again.number, again.values) == (lease.number, lease.values)
    assert (again.reported, again.earlier) == ({1: 0.5}, ())
    assert other.number != lease.number
    # The process from before is told, should it still live.
    assert before.report(lease, 2, 0.6) is study.Verdict.LOST
    assert not before.finish(lease, 0.6)
    assert after.report(again, 2, 0.7) is study.Verdict.GO_ON
    assert after.finish(again, 0.7)
    assert [row.value for row in after.table() if row.state == "complete"] == [0.7]


def test_losing_the_race_for_a_trial_changes_nothing(join, storage):
    a, late = join("a", storage), join("late", storage)
    program = dict(RATES.programs[0])
    late._leases.study.enqueue_trial(program, user_attrs={trials.PROGRAM: 0})
    (seen_waiting,) = late._leases.refresh()[1]
    lease = a.acquire(0)
    assert late._leases._take(seen_waiting) is None
    assert [row.worker for row in a.table()] == ["a"]
    assert late.release() == 0
    assert a.report(lease, 1, 0.5) is study.Verdict.GO_ON
    assert join("a", storage).acquire().number == lease.number


def test_a_released_trial_resumes_on_another_worker(join, storage):
    a, b = join("a", storage), join("b", storage)
    lease = a.acquire(0)
    a.report(lease, 1, 0.5)
    assert (a.release(), a.release()) == (1, 0)
    follower = b.acquire(0)
    assert (follower.values, follower.earlier) == (lease.values, (lease.number,))
    assert follower.reported == {1: 0.5}
    assert a.report(lease, 2, 0.6) is study.Verdict.LOST
    b.report(follower, 2, 0.7)
    assert b.finish(follower, 0.7)
    assert [row.epochs for row in b.table()] == [2]


def test_releases_the_trials_of_another_worker(join):
    join("dead").acquire(0)
    worker = join("a")
    assert worker.release("dead") == 1
    assert worker.acquire(0).earlier == (0,)


def test_a_trial_that_kills_its_workers_is_failed(join):
    numbers = {join("a", trials=2).acquire(0).number for _ in range(3)}
    assert len(numbers) == 1
    worker = join("a", trials=2)
    assert worker.acquire(0) is None
    assert [row.state for row in worker.table()] == ["failed"]
    train_all(worker)
    assert worker.progress().done


def test_a_trial_that_makes_progress_is_not_failed(join):
    for epoch in range(1, 6):
        worker = join("a", num_epochs=9)
        lease = worker.acquire(0)
        worker.report(lease, epoch, 0.5)
    assert lease.number == 0 and max(lease.reported) == 4


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_trial_counts_and_is_not_retried(join, storage, value):
    worker = join("a", storage, trials=2, sampler="tpe")
    lease = worker.acquire(0)
    assert worker.report(lease, 1, 0.5) is study.Verdict.GO_ON
    assert worker.report(lease, 2, value) is study.Verdict.DIVERGED
    assert worker.diverge(lease, 2)
    loss_was_not_finite = worker.acquire(1)
    assert worker.diverge(loss_was_not_finite, 1)
    assert worker.acquire() is None and worker.progress().done
    assert [(row.state, row.value) for row in worker.table()] == [
        ("diverged", 0.5),
        ("diverged", None),
    ]
    assert worker.best() is None


@pytest.mark.parametrize("sampler", ["tpe", "sobol"])
def test_hyperband_prunes_bad_trials_and_keeps_the_best(join, sampler):
    worker = join(
        trials=30, num_epochs=9, space=ONE_PROGRAM, pruner="hyperband", sampler=sampler
    )
    train_all(worker, lambda values, epoch: epoch - 20 * values["hparams.dropout_rate"])
    table = worker.table()
    pruned = [row for row in table if row.state == "pruned"]
    complete = [row for row in table if row.state == "complete"]
    assert len(pruned) + len(complete) == 30
    assert len(pruned) >= 10
    assert all(row.epochs in (1, 3) for row in pruned)
    assert all(row.epochs == 9 for row in complete)
    assert all(row.value == row.reported[row.epochs] for row in table)
    best = min(table, key=lambda row: row.values["hparams.dropout_rate"])
    assert best.state == "complete" and worker.best() == best


def test_tpe_learns_from_reported_values(join):
    worker = join(trials=50, space=ONE_PROGRAM, sampler="tpe")
    train_all(worker, lambda values, epoch: -abs(values["hparams.dropout_rate"] - 0.3))
    rates = [row.values["hparams.dropout_rate"] for row in worker.table()]
    away = sum(abs(rate - 0.3) for rate in rates[20:]) / 30
    assert away < 0.2  # 0.29 at random


def test_the_table_describes_the_trials(join):
    worker = join(trials=2)
    lease = train(worker, lambda values, epoch: 0.5 * epoch)
    (row,) = worker.table()
    assert dataclasses.asdict(row) | {"seconds": 0} == {
        "number": lease.number,
        "state": "complete",
        "value": 1.0,
        "values": lease.values,
        "program": 0,
        "epochs": 2,
        "worker": "a",
        "seconds": 0,
        "reported": {1: 0.5, 2: 1.0},
    }
    assert 0 <= row.seconds < 10


def test_fewer_trials_than_programs_raise():
    with pytest.raises(ValueError, match="at least 2, one for each program.*got 1"):
        study.StudySpec(**COMMON | {"trials": 1})
    with pytest.raises(ValueError, match="num_epochs: expected 1 or more, got 0"):
        study.StudySpec(**COMMON | {"num_epochs": 0})
