"""Commands that are killed lose nothing, and their repetition gives the same result."""

import json
import os
import random
import shutil
import signal
import time

import pytest

from data_prep import cpsc2018, folds
from mrm_jax.data import shards
from mrm_jax.interop import npz_format
from mrm_jax.reports import run_report, thresholds_file
from mrm_jax.runtime import atomic
from mrm_jax.training import metrics_log
from tests.helpers import (
    commands,
    drawn_run,
    outcomes,
    raw_records,
    small_runs,
    small_sweeps,
)

pytestmark = pytest.mark.slow

KILLS = outcomes.EFFORT
TRIALS = 4


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return small_runs.write_shards(folder, records_per_fold=12)


@pytest.fixture(scope="module")
def trained(shards_dir, tmp_path_factory):
    """A finished run, and how long it took, without the time to compile."""
    folder = tmp_path_factory.mktemp("trained")
    output = folder / "output"
    for name in ("compiled", "run"):
        begun = time.monotonic()
        flags = small_runs.train_flags(shards_dir, folder / name)
        assert commands.run("mrm_jax.train", *flags, output=output) == 0
        lasted = time.monotonic() - begun
    return folder / "run", lasted


def kill_at(process, seconds):
    """Kills a process after some seconds; returns whether it was still running."""
    process.join(seconds)
    is_running = process.exitcode is None
    if is_running:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return is_running


def leftovers(folder):
    return [path for path in folder.rglob("*") if atomic.LEFTOVER.fullmatch(path.name)]


def test_a_killed_training_ends_with_the_unbroken_numbers(
    trained, shards_dir, tmp_path
):
    outcome = outcomes.start(
        "A killed training resumes and ends with the same numbers",
        "SIGKILL at a random time, the same command again",
    )
    unbroken, lasted = trained
    rng, workdir, output = random.Random(0), tmp_path / "run", tmp_path / "output"
    flags = small_runs.train_flags(shards_dir, workdir)
    while outcome.tried < KILLS:
        kills, begun = 0, time.monotonic()
        while kills < 2 and kill_at(
            commands.start("mrm_jax.train", *flags, output=output),
            rng.uniform(0, lasted),
        ):
            kills += 1
        if not kills:  # faster than the last time
            lasted = min(lasted, time.monotonic() - begun)
        assert commands.run("mrm_jax.train", *flags, output=output) == 0
        is_same = small_runs.equal(unbroken, workdir)
        for _ in range(kills):
            outcome.count(wrong=not is_same)
        assert not leftovers(workdir)
        shutil.rmtree(workdir)
    outcome.check()


def test_a_killed_evaluation_keeps_report_and_thresholds(trained, tmp_path):
    outcome = outcomes.start(
        "A killed evaluation keeps the report and the thresholds",
        "SIGKILL at a random time; both are read, the same command again",
    )
    run = shutil.copytree(trained[0], tmp_path / "run")
    rng, output = random.Random(1), tmp_path / "output"
    begun = time.monotonic()
    assert commands.run("mrm_jax.evaluate", "--run", run, output=output) == 0
    lasted = time.monotonic() - begun
    report = run_report.read(run)
    thresholds = (run / thresholds_file.FILE).read_bytes()
    while outcome.tried < KILLS:
        begun = time.monotonic()
        process = commands.start("mrm_jax.evaluate", "--run", run, output=output)
        if not kill_at(process, rng.uniform(lasted / 2, lasted)):
            lasted = min(lasted, time.monotonic() - begun)
            continue
        try:
            is_same = run_report.read(run)["test"] == report["test"]
            is_same &= (run / thresholds_file.FILE).read_bytes() == thresholds
            outcome.count(wrong=not is_same)
        except (OSError, ValueError):
            outcome.count(lost=True)
    assert commands.run("mrm_jax.evaluate", "--run", run, output=output) == 0
    assert run_report.read(run)["labels"] == report["labels"]
    assert not leftovers(run)
    outcome.check()


def test_a_killed_preparation_leaves_a_whole_folder_or_none(tmp_path):
    outcome = outcomes.start(
        "A killed preparation leaves a whole folder or none",
        "SIGKILL at a random time, the same command again",
    )
    raw, output = tmp_path / "raw", tmp_path / "output"
    names = list(folds.read(cpsc2018.SHIPPED_FOLDS))
    raw_records.write_challenge(raw, names[:400])

    def flags(folder):
        return ("--raw_dir", raw, "--out", folder, "--jobs", "1")

    begun = time.monotonic()
    whole = tmp_path / "whole"
    assert commands.run("data_prep.cpsc2018", *flags(whole), output=output) == 0
    lasted = time.monotonic() - begun
    expected, rng = shards.load(whole).manifest, random.Random(2)
    while outcome.tried < KILLS:
        folder, begun = tmp_path / "out" / "shards", time.monotonic()
        process = commands.start("data_prep.cpsc2018", *flags(folder), output=output)
        if not kill_at(process, rng.uniform(0, lasted)):
            lasted = min(lasted, time.monotonic() - begun)
            shutil.rmtree(folder)
            continue
        if folder.exists():  # killed after it was complete
            assert shards.load(folder, verify_hashes=True).manifest == expected
        assert commands.run("data_prep.cpsc2018", *flags(folder), output=output) == 0
        is_same = shards.load(folder, verify_hashes=True).manifest == expected
        outcome.count(wrong=not is_same)
        assert [path.name for path in folder.parent.iterdir()] == ["shards"]
        shutil.rmtree(folder)
    outcome.check()


@pytest.mark.long
@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_a_killed_sweep_loses_no_trial(storage, shards_dir, tmp_path, request):
    outcome = outcomes.start(
        f"A killed sweep loses no trial and counts none twice ({storage})",
        "SIGKILL at a random time, the same command again",
    )
    space = '"hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True)'
    file = small_sweeps.write(
        tmp_path, shards_dir, space, small_runs.EPOCHS, own_process=True
    )
    rng, output = random.Random(7), tmp_path / "output"
    server = None
    if storage == "postgresql":
        server = request.getfixturevalue("postgresql_server")
    lasted, number = 0.0, 0
    while outcome.tried < KILLS:
        number += 1
        workdir = tmp_path / f"sweep{number}"
        flags = [f"--config={file}", f"--workdir={workdir}", f"--trials={TRIALS}"]
        flags += ["--population=2", "--seeds=2", "--pruner=none", "--worker=one"]
        if server is not None:
            url = server.make_database(f"kills_{number}")
            flags += [f"--storage={url}", "--heartbeat_s=1", "--timeout_s=4"]
        kills = 0
        while lasted and kills < 2:
            begun = time.monotonic()
            process = commands.start("mrm_jax.sweep", *flags, output=output)
            if not kill_at(process, rng.uniform(0, lasted)):
                lasted = min(lasted, time.monotonic() - begun)
                break
            kills += 1
        begun = time.monotonic()
        assert commands.run("mrm_jax.sweep", *flags, output=output) == 0
        lasted = lasted or time.monotonic() - begun  # of the first one, unbroken
        report = json.loads((workdir / "sweep.json").read_text())
        is_whole = report["states"] == {"complete": TRIALS}
        for log in workdir.glob("trials/*/metrics.jsonl"):
            epochs = [line["epoch"] for line in metrics_log.read(log.parent)]
            is_whole &= epochs == list(range(1, len(epochs) + 1))
        for _ in range(kills):
            outcome.count(wrong=not is_whole)
    outcome.check()


@pytest.mark.long
def test_a_killed_export_keeps_the_old_file(tmp_path):
    outcome = outcomes.start(
        "A killed export keeps the old file",
        "SIGKILL at a random time; the file is read, the same command again",
    )
    drawn_run.write_run(tmp_path, records_per_fold=2, **drawn_run.OPTIONS)
    run, output, rng = tmp_path / "run", tmp_path / "output", random.Random(3)
    flags = ("--run", run, "--format", "npz")
    for _ in range(2):  # the first time it is compiled
        begun = time.monotonic()
        options = {"output": output, "prepare": commands.keep_the_network}
        assert commands.run("mrm_jax.export", *flags, **options) == 0
        lasted = time.monotonic() - begun
    expected = (run / "model.npz").read_bytes()
    while outcome.tried < KILLS:
        begun = time.monotonic()
        process = commands.start("mrm_jax.export", *flags, **options)
        if not kill_at(process, rng.uniform(lasted / 2, lasted)):
            lasted = min(lasted, time.monotonic() - begun)
            continue
        try:
            npz_format.read(run / "model.npz")
            outcome.count()
        except (OSError, ValueError):
            outcome.count(lost=True)
    assert commands.run("mrm_jax.export", *flags, **options) == 0
    assert len((run / "model.npz").read_bytes()) == len(expected)
    assert not leftovers(run)
    outcome.check()
