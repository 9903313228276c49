"""Tests of deploy/: its scripts and the commands in them are parsed.

The scripts run with recorders in place of srun, gcloud and the like, with the arguments
of the examples in their own comments.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from data_prep import ptbxl
from mrm_jax import train
from tests.helpers.deployed import DEPLOY, ROOT, arguments, check_sweep, commands, name

SCRIPTS = sorted([*DEPLOY.glob("*/*.sh"), *DEPLOY.glob("*/*.sbatch")])
JOBS = sorted(DEPLOY.glob("slurm/*.sbatch"))
PROGRAMS = ("dask", "gcloud", "git", "python", "scontrol", "srun")
# All at once, as some programs run side by side.
RECORDER = """#!/bin/sh
printf '%s\\0' {program} "$@" '
' >> {log}
exit {status}
"""
IN_SLURM = {
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_CPUS_PER_TASK": "8",
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "4",
}


def example(script):
    """Returns the arguments of the example in a script's comment."""
    (words,) = commands(script, rf"(sbatch )?deploy/{name(script)} ")
    return words[words.index(f"deploy/{name(script)}") + 1 :]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a script; returns its exit status and what it called."""
    monkeypatch.chdir(ROOT)  # where the examples' experiments are

    def run(script, words=None, restarts=0, has_scheduler=True, **statuses):
        log = tmp_path / "log"
        for program in PROGRAMS:
            status = statuses.get(program, 0)
            text = RECORDER.format(program=program, log=log, status=status)
            (tmp_path / program).write_text(text)
            (tmp_path / program).chmod(0o755)
        if has_scheduler:
            (tmp_path / "dask-7.json").write_text("of a scheduler that is not there")
        path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
        environment = os.environ | path | IN_SLURM
        done = subprocess.run(
            ["bash", script, *(words or example(script))],
            cwd=tmp_path,
            env=environment | {"SLURM_RESTART_COUNT": str(restarts)},
            timeout=60,
        )
        called = log.read_text().split("\0\n\0")[:-1]
        log.unlink()
        return done.returncode, [line.split("\0") for line in called]

    return run


def first(called, program):
    return next(words for words in called if words[0] == program)


def on_host(words):
    """Returns the command that gcloud runs on a host, as its shell parses it."""
    (command,) = [word for word in words if word.startswith("--command=")]
    return shlex.split(command.removeprefix("--command="))


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_shell_parses_every_script(script):
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (Debian: shellcheck)")
    subprocess.run(["shellcheck", "--shell=bash", script], check=True)


@pytest.fixture(scope="module")
def slurm():
    """A running Slurm; skips the test without one."""
    if shutil.which("sbatch") is None:
        pytest.skip("Slurm is not installed (Debian: slurm-client)")
    ping = ["timeout", "5", "scontrol", "ping"]
    if subprocess.run(ping, capture_output=True).returncode:
        pytest.skip("Slurm's controller does not answer")


@pytest.mark.parametrize("job", JOBS, ids=name)
def test_slurm_accepts_every_job(slurm, job):
    subprocess.run(["sbatch", "--test-only", job], check=True)


@pytest.mark.parametrize(
    ("status", "restarts", "again"),
    [(0, 0, False), (2, 0, False), (3, 0, False), (75, 19, True), (75, 20, False)]
    + [(134, 0, True), (137, 0, True)],
)
def test_slurm_requeues_training_if_that_helps(run, status, restarts, again):
    job = DEPLOY / "slurm/train.sbatch"
    found, called = run(job, restarts=restarts, srun=status)
    assert found == status
    assert (["scontrol", "requeue", "7"] in called) == again
    words = arguments(first(called, "srun"), "mrm_jax.train")
    assert train.parse(words)[1] == Path("runs/all")
    assert train.parse_cluster(words).coordinator is None


@pytest.mark.parametrize(
    ("status", "again"), [(0, False), (2, False), (4, True), (75, True), (137, True)]
)
def test_slurm_requeues_a_worker_if_that_helps(run, capsys, status, again):
    found, called = run(DEPLOY / "slurm/sweep.sbatch", srun=status)
    assert found == status
    assert (["scontrol", "requeue", "7"] in called) == again
    words = arguments(first(called, "srun"), "mrm_jax.sweep")
    assert words[:2] == ["--worker", "worker-3"]
    check_sweep(words, capsys)


def test_slurm_prepares_data_on_all_nodes(run, capsys):
    _, called = run(DEPLOY / "slurm/prepare.sbatch")
    assert "--nworkers" in first(called, "srun")
    wait, prepare = [words for words in called if words[0] == "python"]
    assert wait[-1] == "32"  # 4 nodes with 8 cores each
    assert ptbxl.main(arguments(prepare, "data_prep.ptbxl")) == 1
    assert "neither an existing scheduler file nor" in capsys.readouterr().err


def test_slurm_ends_if_the_scheduler_does_not_start(run):
    job = DEPLOY / "slurm/prepare.sbatch"
    status, called = run(job, has_scheduler=False, dask=1)
    assert status == 1
    assert "python" not in [words[0] for words in called]


def test_tpu_hosts_train_together(run):
    words = [*example(DEPLOY / "tpu/train.sh"), "--config.name=Joan's $HOME"]
    _, called = run(DEPLOY / "tpu/train.sh", words)
    words = arguments(on_host(first(called, "gcloud")), "mrm_jax.train")
    config, workdir = train.parse(words)
    assert workdir == Path("/mnt/disk/runs/all")
    assert config.name == "Joan's $HOME"
    assert train.parse_cluster(words).coordinator is None


def test_tpu_hosts_share_a_sweep(run, capsys):
    _, called = run(DEPLOY / "tpu/sweep.sh")
    command = first(called, "gcloud")
    assert {"--node=all", "--worker=all"} < set(command)
    check_sweep(arguments(on_host(command), "mrm_jax.sweep"), capsys)


def test_tpu_hosts_get_the_committed_files(run):
    _, called = run(DEPLOY / "tpu/install.sh")
    assert first(called, "git")[-1] == "HEAD"
    copy, install = [words for words in called if words[0] == "gcloud"]
    assert {"scp", "mrm:", "--node=all", "--worker=all"} < set(copy)
    assert {"mrm_jax.tar.gz", "constraints.txt"} < set(on_host(install))


def test_docs_use_existing_commands(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    docs = ROOT / "docs" / "scaling.md"
    (words,) = commands(docs, r"python -m mrm_jax\.train ")
    words = [word.replace("$I", "3") for word in arguments(words, "mrm_jax.train")]
    train.parse(words)
    assert train.parse_cluster(words).process_id == 3
    (words,) = commands(docs, r"python -m mrm_jax\.sweep ")
    check_sweep(arguments(words, "mrm_jax.sweep"), capsys)
    files = [
        word
        for words in commands(docs, "(deploy|docker|kubectl|sbatch)")
        for word in words
    ]
    assert all((ROOT / file).exists() for file in files if file.startswith("deploy/"))
