"""Workers as real processes, killed and suspended for real, on a real storage."""

import signal
import subprocess
import sys
import time

import optuna
import pytest

from mrm_jax import study
from tests import conftest, study_worker


@pytest.fixture
def start(tmp_path):
    """Starts workers by name; what still runs at the end of a test is killed."""
    started = []

    def start_worker(storage, worker):
        words = ["tests.study_worker", storage, worker, str(tmp_path)]
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
        time.sleep(0.01)


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
    with study.Study(storage, study_worker.settings(), "reader") as shared:
        return shared.progress(), shared.table(), shared._study.get_trials()


def test_no_setting_is_lost_or_counted_twice(postgresql_url, tmp_path, start):
    a, b, c = (start(postgresql_url, worker) for worker in "abc")
    wait_for_epochs(tmp_path, "a", 2)
    a.send_signal(signal.SIGKILL)
    wait_for_epochs(tmp_path, "b", 4)
    b.send_signal(signal.SIGSTOP)
    held_by_b = set(numbers(tmp_path, "claimed")) - set(numbers(tmp_path, "counts"))
    time.sleep(4.5)
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
    # b learned that what it held went to others.
    assert set(numbers(tmp_path, "lost")) & held_by_b
