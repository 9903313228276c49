"""Tests of workers in real processes that are killed and suspended."""

import signal
import subprocess
import sys
import time

import optuna
import pytest

from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps import study
from mrm_jax.sweeps import trials as trials_lib
from tests import conftest
from tests.helpers import study_worker

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path):
    """Starts workers by name; what still runs at the end of a test is killed."""
    started = []

    def start_worker(storage, worker):
        words = ["tests.helpers.study_worker", storage, worker, str(tmp_path)]
        command = [sys.executable, "-W", "error", "-m", *words]
        started.append(subprocess.Popen(command, cwd=conftest.ROOT))
        return started[-1]

    yield start_worker
    for process in started:
        process.kill()
        process.wait()


def lines(folder, worker):
    path = folder / worker
    return path.read_text().splitlines() if path.exists() else []


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came that far"
        time.sleep(0.02)


def wait_for_epochs(folder, worker, count):
    wait_until(
        lambda: sum(s.startswith("go on") for s in lines(folder, worker)) >= count
    )


def numbers(folder, word):
    return [
        int(line.split()[-2])
        for worker in ("a", "b", "c")
        for line in lines(folder, worker)
        if line.startswith(word)
    ]


def read_trials(storage):
    with study.Study(storage, study_worker.study_spec(), "reader") as shared:
        return shared.progress(), shared.table(), shared._leases.study.get_trials()


def lost(storage, worker):
    """Returns the trials of a worker that were taken from it."""
    opened = storage_lib.open_storage(storage, 1, 3)
    failed = optuna.load_study(storage=opened, study_name="sweep").get_trials(
        states=[optuna.trial.TrialState.FAIL]
    )
    storage_lib.close(opened)
    return [trial for trial in failed if trials_lib.worker(trial) == worker]


def test_no_trial_is_lost_or_counted_twice(postgresql_url, tmp_path, start):
    a, b, c = (start(postgresql_url, worker) for worker in "abc")
    wait_for_epochs(tmp_path, "a", 2)
    a.send_signal(signal.SIGKILL)
    wait_for_epochs(tmp_path, "b", 4)
    (tmp_path / "b.suspend").touch()
    wait_until(lambda: lost(postgresql_url, "a") and lost(postgresql_url, "b"))
    b.send_signal(signal.SIGCONT)
    assert (b.wait(40), c.wait(40)) == (0, 0)

    progress, table, trials = read_trials(postgresql_url)
    assert (progress.total, progress.ended, progress.done) == (20, 20, True)
    assert {row.state for row in table} == {"complete"}
    assert [row.program for row in table].count(0) == 10
    counted = {row.number for row in table}
    assert len(counted) == 20
    finished = {t.number for t in trials if t.state == optuna.trial.TrialState.COMPLETE}
    assert counted == finished
    told = numbers(tmp_path, "counts")
    assert len(told) == len(set(told)) and set(told) == counted
    # Trials of the dead and the suspended worker were retried, once each.
    trained = [t for t in trials if t.state != optuna.trial.TrialState.WAITING]
    taken = [t for t in trials if t.state == optuna.trial.TrialState.FAIL]
    assert len(trained) == 20 + len(taken)
    for trial in taken:
        (follower,) = (
            t for t in trained if t.user_attrs.get("retry_of") == trial.number
        )
        assert follower.params == trial.params
    # The suspended worker noticed it.
    taken_from_b = {trial.number for trial in lost(postgresql_url, "b")}
    assert set(numbers(tmp_path, "lost")) == taken_from_b


def test_a_restarted_worker_resumes_from_a_journal(tmp_path, start):
    journal = str(tmp_path / "study.journal")
    a, b = (start(journal, worker) for worker in "ab")
    wait_for_epochs(tmp_path, "a", 3)
    a.send_signal(signal.SIGKILL)
    a.wait()
    claimed, ended = (
        {int(s.split()[1]) for s in lines(tmp_path, "a") if s.startswith(word)}
        for word in ("claimed", "counts")
    )
    again = start(journal, "a")
    assert (again.wait(40), b.wait(40)) == (0, 0)

    progress, table, trials = read_trials(journal)
    assert (progress.total, progress.ended) == (20, 20)
    # Nothing was retried: the same attempts resumed.
    assert {t.state.name for t in trials} <= {"COMPLETE", "WAITING"}
    assert len({row.number for row in table}) == 20
    left = claimed - ended
    assert left
    taken_up = [s.split() for s in lines(tmp_path, "a") if s.startswith("claimed")]
    for number in left:
        epochs = [int(e) for _, found, e in taken_up if int(found) == number]
        assert len(epochs) == 2 and epochs[0] == 0
        assert next(row for row in table if row.number == number).worker == "a"
    told = numbers(tmp_path, "counts")
    assert len(told) == len(set(told))
