"""Tests of the export command; tests/interop tests the contents of its files."""

import shutil
import sys

import pytest

from mrm_jax import export
from mrm_jax.interop import npz_format, verify
from tests.helpers import drawn_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with shards and a run trained on them."""
    folder = tmp_path_factory.mktemp("command")
    drawn_run.write_run(folder, records_per_fold=2, **drawn_run.OPTIONS)
    return folder


def arguments(folder, kind="npz", *more):
    return [f"--run={folder / 'run'}", f"--format={kind}", *more]


def test_help_explains_formats_and_flags(capsys):
    with pytest.raises(SystemExit) as left:
        export.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for word in ("onnx", "stablehlo", "torch", "npz", "--data", "--without_data"):
        assert word in text


def test_exports_into_the_runs_folder_by_default(folder, capsys):
    assert export.main(arguments(folder)) == 0
    first, second, third, last = capsys.readouterr().out.splitlines()
    assert first == (
        f"{folder}/run: epoch 3, 3 labels, signals of 40 x 12 in mV at 100 Hz"
    )
    assert second == f"writing npz, verifying on 2 records of {folder}/shards"
    assert third.startswith("reloaded and scored in batches of 1, 1: scores equal")
    assert last.endswith(f" MiB -> {folder}/run/model.npz")
    assert npz_format.read(folder / "run" / "model.npz").metadata["labels"]


def test_shards_may_have_moved(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(verify, "NUM_RECORDS", 2)  # quick, and else the same
    shards_dir = shutil.move(folder / "shards", tmp_path / "moved")
    try:
        out = tmp_path / "sub" / "weights.npz"
        assert export.main(arguments(folder, "npz", f"--out={out}")) == 2
        error = capsys.readouterr().err
        assert "manifest.json was not found" in error
        assert "--data" in error and "--without_data" in error
        assert not out.parent.exists()
        more = [f"--out={out}", f"--data={shards_dir}"]
        assert export.main(arguments(folder, "npz", *more)) == 0
        assert out.exists()
        more = [f"--out={out}", "--without_data"]
        assert export.main(arguments(folder, "npz", *more)) == 0
        assert "verifying on 2 noise signals" in capsys.readouterr().out
    finally:
        shutil.move(shards_dir, folder / "shards")


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [("onnx", "jax2onnx", "export"), ("torch", "torch", "parity")],
)
def test_a_missing_package_error_says_how_to_install_it(
    kind, module, extra, folder, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    assert export.main(arguments(folder, kind)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and f"the extra `{extra}`" in error
    assert f"{module} is not installed. Run: pip install " in error
    assert not list((folder / "run").glob("*model.*[!z]"))


def test_a_folder_without_a_run_raises(tmp_path, capsys):
    assert export.main([f"--run={tmp_path}", "--format=npz"]) == 2
    assert "this folder has no checkpoints" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--format=pickle"], "invalid choice: 'pickle'"),
        (["--format=npz", "--data=a", "--without_data"], "not allowed with"),
        (["--format=npz", "--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_invalid_flags_are_explained(more, message, capsys):
    with pytest.raises(SystemExit) as left:
        export.main(["--run=x", *more])
    assert left.value.code == 2
    assert message in capsys.readouterr().err
