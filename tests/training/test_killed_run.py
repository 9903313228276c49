"""Tests of a real process that is killed and restarted by the same command."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mrm_jax.training import metrics_log
from tests import conftest
from tests.helpers import small_runs

pytestmark = pytest.mark.slow

EPOCHS = 8


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return small_runs.write_shards(folder, records_per_fold=12)


def start(shards_dir, workdir):
    command = [sys.executable, "-m", "mrm_jax.train", "--config=experiments/base.py"]
    command += [f"--workdir={workdir}", f"--config.data.shards={shards_dir}"]
    command += ["--config.data.label_set=waves", "--config.model.width=4"]
    command += ["--config.batch_size=4", f"--config.num_epochs={EPOCHS}"]
    cache = str(conftest.ROOT / ".cache" / "jax")
    return subprocess.Popen(
        command,
        cwd=conftest.ROOT,
        env={
            **os.environ,
            "XLA_FLAGS": conftest.QUICK_TO_COMPILE,
            "JAX_COMPILATION_CACHE_DIR": cache,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_after_epoch(process, workdir, epoch):
    """Kills the process in the middle of the epoch after `epoch`."""
    deadline = time.monotonic() + 240
    while len(metrics_log.read(workdir)) < epoch:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "the run never came that far"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_a_run_killed_twice_equals_an_uninterrupted_one(shards_dir, tmp_path):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    output, _ = start(shards_dir, unbroken).communicate()
    assert "results:" in output
    kill_after_epoch(start(shards_dir, broken), broken, epoch=2)
    kill_after_epoch(start(shards_dir, broken), broken, epoch=5)
    output, _ = start(shards_dir, broken).communicate()
    assert "resuming after epoch" in output
    for one, other in zip(*map(metrics_log.read, (unbroken, broken)), strict=True):
        del one["train/records_per_second"], other["train/records_per_second"]
        assert one == other
    with np.load(unbroken / "scores.npz") as a, np.load(broken / "scores.npz") as b:
        for name in a:
            assert np.array_equal(a[name], b[name]), name
