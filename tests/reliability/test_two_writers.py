"""Two commands never write to one run at the same time."""

import os
import signal
import time

import pytest

from mrm_jax.training import metrics_log
from tests.helpers import commands, small_runs

pytestmark = pytest.mark.slow


def test_a_second_command_on_a_run_is_refused(tmp_path):
    shards_dir = small_runs.write_shards(tmp_path / "shards", records_per_fold=12)
    run, output = tmp_path / "run", tmp_path / "output"
    flags = small_runs.train_flags(shards_dir, run)
    first = commands.start("mrm_jax.train", *flags, output=tmp_path / "first")
    while not list(run.glob("checkpoints/epoch_?")):
        assert first.is_alive(), (tmp_path / "first").read_text()
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        begun = metrics_log.read(run)
        for module, words in (
            ("mrm_jax.train", flags),
            ("mrm_jax.evaluate", ("--run", run)),
        ):
            assert commands.run(module, *words, output=output) == 2
            said = " ".join(output.read_text().split())
            assert f"error: {run}: another process is writing to this folder" in said
            assert metrics_log.read(run) == begun
            output.unlink()
    finally:
        os.kill(first.pid, signal.SIGCONT)
    first.join()
    assert first.exitcode == 0, (tmp_path / "first").read_text()
    assert len(metrics_log.read(run)) == small_runs.EPOCHS
