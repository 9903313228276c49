"""Tests of sweeps in real processes that are killed and terminated."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from mrm_jax import sweep
from mrm_jax.sweeps import trial_run
from mrm_jax.training import metrics_log
from tests import conftest
from tests.helpers import commands, small_runs, small_sweeps

pytestmark = pytest.mark.slow

EPOCHS, TRIALS, SEEDS = 6, 5, 2
SPACE = '"hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True)'


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    shards_dir = small_runs.write_shards(folder / "shards", records_per_fold=12)
    return small_sweeps.write(folder, shards_dir, SPACE, EPOCHS, own_process=True)


@pytest.fixture
def words(file, tmp_path):
    """The flags of every worker of one sweep."""
    workdir = tmp_path / "sweep"
    flags = [f"--config={file}", f"--workdir={workdir}", f"--trials={TRIALS}"]
    return [*flags, "--population=2", f"--seeds={SEEDS}", "--pruner=none"]


@pytest.fixture
def start(words, tmp_path):
    """Starts workers of one sweep; what still runs at the end of a test is killed."""
    started = []

    def start_worker(*more):
        output = tmp_path / f"output-{len(started)}"
        process = commands.start(
            "mrm_jax.sweep", *words, *more, output=output, prepare=use_one_device
        )
        started.append(process)
        return process, output

    yield start_worker
    for process in started:
        process.kill()
        process.join()


def use_one_device():
    """Makes a process, in which JAX has not started yet, use one device."""
    os.environ["XLA_FLAGS"] = conftest.QUICK_TO_COMPILE


@pytest.fixture
def start_by_hand(words):
    """Starts a worker whose command line others can read, as a user does."""
    started = []

    def start_worker(*more):
        process = subprocess.Popen(
            [sys.executable, "-m", "mrm_jax.sweep", *words, *more],
            cwd=conftest.ROOT,
            env={
                **os.environ,
                "XLA_FLAGS": conftest.QUICK_TO_COMPILE,
                "JAX_COMPILATION_CACHE_DIR": str(conftest.ROOT / ".cache" / "jax"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_worker
    for process in started:
        process.kill()
        process.communicate()


def wait_for_epoch(is_alive, folder, epoch):
    deadline = time.monotonic() + 240
    while len(metrics_log.read(folder)) < epoch:
        assert is_alive(), "the sweep ended"
        assert time.monotonic() < deadline, "the sweep never came that far"
        time.sleep(0.005)


def check_complete(workdir):
    """Every trial ended, each counts once, and no epoch is twice in its metrics."""
    report = json.loads((workdir / "sweep.json").read_text())
    assert report["states"] == {"complete": TRIALS}
    assert len(report["seeds"]["values"]) == SEEDS
    with (workdir / "sweep.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len({row["hparams.learning_rate"] for row in rows}) == TRIALS
    for row in rows:
        history = metrics_log.read(trial_run.folder(workdir, int(row["setting"])))
        assert [line["epoch"] for line in history] == list(range(1, EPOCHS + 1))
    return rows


def check_hidden(password, folder, *texts):
    """The password stands in no text, and in no file of a folder."""
    assert not any(password in text for text in texts)
    for path in folder.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path


def test_a_sweep_ends_although_a_worker_is_killed(
    postgresql_url, start, start_by_hand, tmp_path
):
    workdir = tmp_path / "sweep"
    url = postgresql_url.replace("@", ":not-for-all@")
    shared = [f"--storage={url}", "--heartbeat_s=1", "--timeout_s=4"]
    dying = start_by_hand(*shared, "--worker=dying")
    wait_for_epoch(lambda: dying.poll() is None, trial_run.folder(workdir, 0), 3)
    title = pathlib.Path(f"/proc/{dying.pid}/cmdline").read_text()
    assert "postgresql://" in title
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    staying, path = start(*shared, "--worker=staying")
    staying.join(240)
    output = path.read_text()
    assert staying.exitcode == 0, output
    check_hidden("not-for-all", workdir, title, output)
    rows = check_complete(workdir)
    assert {row["worker"] for row in rows} == {"staying"}
    numbers = [int(row["setting"]) for row in rows]
    assert 0 not in numbers and 1 not in numbers  # the dead one's; others followed
    # One of them began with the epochs of trial 0, down to their speed. The second
    # epoch's checkpoint was perhaps being written, the first one's was there.
    first = metrics_log.read(trial_run.folder(workdir, 0))[0]
    followers = [
        n for n in numbers if metrics_log.read(trial_run.folder(workdir, n))[0] == first
    ]
    assert len(followers) == 1


def test_the_same_command_resumes_a_terminated_sweep(start, tmp_path):
    workdir = tmp_path / "sweep"
    first, path = start()
    wait_for_epoch(first.is_alive, trial_run.folder(workdir, 0), 2)
    first.terminate()
    first.join(60)
    assert first.exitcode == sweep.TERMINATED
    assert "Terminated. Run the same command again to resume" in path.read_text()
    again, path = start()
    again.join(240)
    assert again.exitcode == 0, path.read_text()
    check_complete(workdir)


def test_an_unreachable_storage_is_named(start):
    url = "postgresql://mrm:secret@127.0.0.1:1/none"
    process, path = start(f"--storage={url}", "--patience_s=1")
    process.join(120)
    output = path.read_text()
    assert process.exitcode == sweep.NO_STORAGE
    assert "error: " in output and "127.0.0.1:1" in output
    assert "secret" not in output
