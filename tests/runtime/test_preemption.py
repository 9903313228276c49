"""Tests of real signals to one process, at every stage of a run."""

import functools
import signal
import subprocess
import sys

import numpy as np
import pytest

from mrm_jax.runs import evaluation, experiment
from mrm_jax.runtime import preemption
from mrm_jax.training import checkpoints, epoch, metrics_log
from tests.helpers import commands, distributed_child, preempted, small_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    return small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")


def run(shards_dir, workdir, num_epochs=2):
    config = small_runs.config(shards_dir, num_epochs)
    with preemption.PreemptionHandler() as handler:
        return experiment.train_and_evaluate(config, workdir, handler=handler)


@pytest.fixture(scope="module")
def unbroken(shards_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "unbroken"
    run(shards_dir, workdir)
    return workdir


def history(workdir):
    return [
        {name: v for name, v in line.items() if name != "train/records_per_second"}
        for line in metrics_log.read(workdir)
    ]


# An epoch is three training calls and one of scoring; the report has two of scoring.
@pytest.mark.parametrize(
    "case",
    [
        (0, "step 0 of epoch 1", ""),
        (2, "step 2 of epoch 1", "after step 2 of epoch 1"),
        (3, "step 3 of epoch 1", "after step 3 of epoch 1"),
        (4, "step 0 of epoch 2", "after epoch 1"),
        (5, "step 1 of epoch 2", "after step 1 of epoch 2"),
        (9, "while scoring", "after epoch 2"),
    ],
    ids=str,
)
def test_a_preempted_run_equals_an_uninterrupted_one(
    shards_dir, unbroken, tmp_path, monkeypatch, capsys, case
):
    number, preempted_at, resuming = case
    with monkeypatch.context() as patch:
        preempted.send_before_call(patch, number)
        with pytest.raises(preemption.Preempted, match=preempted_at):
            run(shards_dir, tmp_path)
    capsys.readouterr()
    run(shards_dir, tmp_path)
    assert (f"resuming {resuming}" in capsys.readouterr().out) == bool(resuming)
    assert history(tmp_path) == history(unbroken)
    rates = [line["train/records_per_second"] for line in metrics_log.read(tmp_path)]
    assert min(rates) > 0
    with (
        np.load(tmp_path / "scores.npz") as found,
        np.load(unbroken / "scores.npz") as expected,
    ):
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    assert not (tmp_path / checkpoints.UNFINISHED).exists()


def test_an_unfinished_epoch_is_neither_best_nor_reported(
    shards_dir, unbroken, tmp_path, monkeypatch
):
    preempted.send_before_call(monkeypatch, 6)
    with pytest.raises(preemption.Preempted, match="step 2 of epoch 2"):
        run(shards_dir, tmp_path)
    with checkpoints.open_existing(tmp_path) as manager:
        assert manager.all_steps() == [1] and manager.best_step() == 1
    assert evaluation.evaluate_run(tmp_path)["facts"]["epochs_trained"] == 1


def test_being_preempted_twice_at_one_step_loses_nothing(
    shards_dir, unbroken, tmp_path, monkeypatch
):
    for number in (1, 0):  # the second start is preempted before its first step
        with monkeypatch.context() as patch:
            preempted.send_before_call(patch, number)
            with pytest.raises(preemption.Preempted, match="step 1 of epoch 1"):
                run(shards_dir, tmp_path)
    run(shards_dir, tmp_path)
    assert history(tmp_path) == history(unbroken)


def test_progress_under_its_earlier_key_is_read():
    progress = {"steps_done": 2, "sums": {"loss": 1.5}}
    for key in ("done", "progress"):
        assert checkpoints.progress_of({"epoch": 1, key: progress}) == progress
    resumed = epoch.Epoch(np.zeros((3, 4), int), **progress)
    assert resumed.progress["steps_done"] == 2 and resumed.rate == 0


def test_resuming_an_epoch_with_another_configuration_raises(
    shards_dir, tmp_path, monkeypatch
):
    preempted.send_before_call(monkeypatch, 1)
    with pytest.raises(preemption.Preempted):
        run(shards_dir, tmp_path)
    config = small_runs.config(shards_dir)
    config.model.width = 8
    with pytest.raises(ValueError, match="model.width: 4 there, 8 now"):
        experiment.train_and_evaluate(config, tmp_path)


def test_the_previous_signal_handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with preemption.PreemptionHandler():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_ends_the_process_at_once():
    code = (
        "import os, signal\n"
        "from mrm_jax.runtime import preemption\n"
        "with preemption.PreemptionHandler():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('one', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('two', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("one\n", -signal.SIGTERM)


def test_the_command_has_its_own_exit_status_when_preempted(shards_dir, tmp_path):
    flags = f"data.shards={shards_dir} data.label_set=waves model.width=4"
    flags = [f"--config.{flag}" for flag in f"{flags} batch_size=12".split()]
    errors = tmp_path / "errors"
    status = commands.run(
        "mrm_jax.train",
        "--config=experiments/base.py",
        f"--workdir={tmp_path / 'run'}",
        *flags,
        output=tmp_path / "output",
        errors=errors,
        prepare=functools.partial(distributed_child.prepare, 4, "SIGTERM", 1),
    )
    assert status == 75, errors.read_text()
    assert errors.read_text().endswith(
        "Preempted at step 1 of epoch 1. Run the same command again to resume.\n"
    )
