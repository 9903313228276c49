import subprocess
import sys
from pathlib import Path

import pytest

from mrm_jax import train
from tests import conftest


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(conftest.ROOT)


def test_help_explains_every_flag_and_lists_every_value(capsys):
    assert train.main(["--help"]) == 0
    text = capsys.readouterr().out
    for expected in ("--config FILE", "--workdir FOLDER", "--config.NAME=VALUE"):
        assert expected in text
    assert "--config.hparams.learning_rate=0.001" in text


def test_help_of_an_experiment_shows_its_own_values(capsys):
    assert train.main(["--config=experiments/demo.py", "--help"]) == 0
    assert "--config.model.width=8" in capsys.readouterr().out


def test_help_runs_as_a_command_from_another_folder(tmp_path):
    # There is no experiments/ there: the usage alone has to do.
    command = [sys.executable, "-m", "mrm_jax.train", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--config FILE" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=x"], "--config is required"),
        (["--config=experiments/nope.py"], "experiments/nope.py"),
        (["--config=experiments/base.py", "--wrkdir=x"], "Did you mean: workdir"),
        (["--config=experiments/base.py", "--config.seed=one"], "seed=one"),
        (["--config=experiments/base.py", "stray"], r"unexpected ['stray']"),
        (
            ["--config=experiments/base.py", "--config.data.shards=no/such"],
            "no/such/manifest.json: not found; build shards first",
        ),
    ],
)
def test_what_does_not_fit_is_an_error_with_a_way_out(arguments, message, capsys):
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_a_misspelt_value_is_named_beside_the_right_ones(capsys):
    arguments = ["--config=experiments/base.py", "--config.hparams.learnin_rate=1"]
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert "no value --config.hparams.learnin_rate" in error
    assert "--config.hparams.learning_rate=0.001" in error


def test_overrides_reach_the_configuration():
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


def test_the_first_step_does_not_wait_for_what_only_reports_need():
    slow = {"matplotlib", "tensorboardX", "torch"}  # seconds, where all are installed
    code = f"import sys, mrm_jax.train; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n"
