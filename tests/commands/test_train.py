import subprocess
import sys
from pathlib import Path

import pytest

from mrm_jax import train
from mrm_jax.runtime import distributed
from tests import conftest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def in_project_root(monkeypatch):
    monkeypatch.chdir(conftest.ROOT)


def test_help_explains_every_flag_and_lists_every_value(capsys):
    assert train.main(["--help"]) == 0
    text = capsys.readouterr().out
    for expected in ("--config EXPERIMENT", "--workdir FOLDER", "--config.NAME=VALUE"):
        assert expected in text
    for expected in (
        "--distributed",
        "--coordinator HOST:PORT",
        "--process_id I",
        "75",
    ):
        assert expected in text
    assert "--config.hparams.learning_rate=0.001" in text


def test_help_shows_the_experiments_values(capsys):
    assert train.main(["--config=experiments/demo.py", "--help"]) == 0
    assert "--config.model.width=8" in capsys.readouterr().out


def test_help_works_from_another_folder(tmp_path):
    command = [sys.executable, "-m", "mrm_jax.train", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--config EXPERIMENT" in done.stdout
    assert "--config.hparams.learning_rate=0.001" in done.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("-config.seed=1", "--config.seed=1"),
        ("-workdir", "--workdir"),
        ("-data=a-b.c", "--data=a-b.c"),
        ("-test_folds=1", "--test_folds=1"),
        ("-h", "-h"),
        ("-5", "-5"),
        ("--workdir", "--workdir"),
    ],
)
def test_flags_may_have_one_dash(given, expected):
    assert train.with_two_dashes(given) == expected


def by_hand(coordinator, num_processes, process_id):
    place = f"coordinator={coordinator} num_processes={num_processes}"
    return [f"--{flag}" for flag in f"{place} process_id={process_id}".split()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=x"], "--config is required"),
        (["--config=experiments/nope.py"], "experiments/nope.py"),
        (["--config=experiments/base.py", "--wrkdir=x"], "Did you mean: workdir"),
        (["--config=experiments/base.py", "--config.seed=one"], "seed=one"),
        (["--config=experiments/base.py", "stray"], r"unexpected arguments ['stray']"),
        (
            ["--config=experiments/base.py", "--config.data.shards=no/such"],
            "no/such/manifest.json was not found. Build the shards first",
        ),
        (
            ["--config=experiments/base.py", "--coordinator=here:1"],
            "expected --coordinator, --num_processes and --process_id together",
        ),
        (
            ["--config=experiments/base.py", "--process_id=0", "--distributed"],
            "Pass either",
        ),
        (
            ["--config=experiments/base.py", *by_hand("here", 2, 0)],
            "--coordinator: expected HOST:PORT, got 'here'",
        ),
        (
            ["--config=experiments/base.py", *by_hand("here:1", 2, 2)],
            "--process_id: expected a number from 0 to below --num_processes, got 2",
        ),
        (
            ["--config=experiments/base.py", "--distributed", "--peer_timeout=0"],
            "--peer_timeout: expected 1 or more seconds, got 0",
        ),
        (
            ["--config=experiments/base.py", "--peer_timeout=9"],
            "--peer_timeout has no effect on a single process",
        ),
    ],
)
def test_invalid_arguments_raise_with_a_suggestion(arguments, message, capsys):
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_an_unknown_value_error_lists_the_valid_ones(capsys):
    arguments = ["--config=experiments/base.py", "--config.hparams.learnin_rate=1"]
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert "no value --config.hparams.learnin_rate" in error
    assert "--config.hparams.learning_rate=0.001" in error


def test_overrides_are_applied_to_the_configuration():
    config, workdir = train.parse(
        [
            "--config=experiments/ptbxl_rhythm.py",
            "--config.hparams.learning_rate=3e-4",
            "--config.model.mutual_stages=('extractor', 'attention')",
            "--config.data.resident_gib=0.5",
        ]
    )
    assert config.hparams.learning_rate == 3e-4
    assert config.model.mutual_stages == ("extractor", "attention")
    assert config.data.resident_gib == 0.5
    assert workdir == Path("runs/ptbxl_rhythm")


def test_report_packages_are_imported_after_the_first_step():
    slow = {"matplotlib", "tensorboardX", "torch"}  # seconds, where all are installed
    code = f"import sys, mrm_jax.train; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_hosts_come_from_flags_or_from_the_cluster():
    assert train.parse_cluster(["--config=experiments/base.py"]) is None
    found = train.parse_cluster(["--distributed", "--peer_timeout=9"])
    assert found == distributed.Cluster(peer_timeout_s=9)
    found = train.parse_cluster(by_hand("[::1]:80", 3, 2))
    assert found == distributed.Cluster("[::1]:80", 3, 2, peer_timeout_s=60)
