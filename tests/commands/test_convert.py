"""Tests of convert without PyTorch; tests/parity has those with PyTorch."""

import subprocess
import sys

import pytest

from mrm_jax import convert
from tests import conftest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def in_project_root(monkeypatch):
    monkeypatch.chdir(conftest.ROOT)


def test_help_explains_both_directions(capsys):
    with pytest.raises(SystemExit) as left:
        convert.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--torch", "--to_torch", "--labels", "--data", "--drop", "--newest"):
        assert flag in text


def test_without_pytorch_the_error_says_what_to_install(tmp_path):
    (tmp_path / "labels.txt").write_text("a\n")
    (tmp_path / "torch.py").write_text("raise ImportError('not installed')\n")
    (tmp_path / "file.pth").write_bytes(b"")
    command = [sys.executable, "-m", "mrm_jax.convert", f"--torch={tmp_path}/file.pth"]
    command += [f"--labels={tmp_path}/labels.txt", f"--run={tmp_path}/run"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path), "JAX_PLATFORMS": "cpu", "PATH": ""},
    )
    assert done.returncode == 2
    assert "error: PyTorch files need the extra `parity`" in done.stderr
    assert "torch is not installed. Run: pip install " in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run=x"], "one of the arguments --torch --to_torch is required"),
        (["--run=x", "--torch=a", "--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_invalid_flags_are_explained(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        convert.main(arguments)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--torch=a", "--labels=b", "--newest"],
            "--newest has no effect with --torch",
        ),
        (["--to_torch=a", "--labels=b"], "--labels has no effect with --to_torch"),
        (["--to_torch=a", "--data=b"], "--data has no effect"),
        (["--to_torch=a", "--config=demo"], "--config has no effect"),
        (["--to_torch=a", "--drop=b"], "--drop has no effect"),
        (["--to_torch=a", "--without_adam"], "--without_adam has no effect"),
        (["--to_torch=a", "--config.seed=1"], "--config.seed=1 has no effect"),
    ],
)
def test_flags_of_the_other_direction_are_refused(flags, message, capsys):
    assert convert.main(["--run=x", *flags]) == 2
    assert f"error: {message}" in capsys.readouterr().err


def test_a_folder_without_a_run_cannot_be_exported(tmp_path, capsys):
    given = [f"--run={tmp_path}", f"--to_torch={tmp_path}/file.pth"]
    assert convert.main(given) == 2
    assert "this folder has no checkpoints" in capsys.readouterr().err
