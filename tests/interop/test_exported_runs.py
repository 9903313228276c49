"""Tests of .npz exports in place of a run's folder."""

import json

import jax
import numpy as np
import pytest

import mrm_jax
from mrm_jax import evaluate, export
from mrm_jax.runs import trained_run, weights_file
from tests.helpers import small_predictions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "model.npz"
    arguments = [f"--run={run.workdir}", "--format=npz", f"--out={path}"]
    assert export.main([*arguments, "--without_data"]) == 0
    return path


def scores_of(run):
    return mrm_jax.load(run).predict(small_predictions.ecg_mv(), 500).scores


def test_a_file_holds_all_that_its_run_knows(run, file):
    found = trained_run.read(file)
    assert found.data == run.data
    assert (found.labels, found.epoch) == (run.labels, run.epoch)
    assert found.thresholds == run.thresholds
    assert found.metadata["config"] == run.metadata["config"]
    assert found.model == run.model
    jax.tree.map(np.testing.assert_array_equal, found.variables, run.variables)


def test_a_file_predicts_as_its_run_does(run, file):
    assert scores_of(file) == scores_of(run.workdir)


def test_float16_changes_scores_little_and_halves_the_file(run, file, tmp_path):
    half = tmp_path / "half.npz"
    arguments = [f"--run={run.workdir}", "--format=npz", f"--out={half}"]
    assert export.main([*arguments, "--without_data", "--precision=float16"]) == 0
    found, expected = scores_of(half), scores_of(run.workdir)
    assert found != expected
    assert found == pytest.approx(expected, abs=1e-2)
    sizes = [trained_run.read(path).variables["params"] for path in (half, file)]
    assert jax.tree.map(np.shape, sizes[0]) == jax.tree.map(np.shape, sizes[1])
    with np.load(half) as kept:
        params = [kept[name] for name in kept.files if name.startswith("params/")]
    assert {array.dtype for array in params} == {np.dtype(np.float16)}


def test_float16_is_for_npz_only(run, capsys):
    arguments = [f"--run={run.workdir}", "--format=onnx", "--precision=float16"]
    assert export.main(arguments) == 2
    assert "--precision float16 is for --format npz" in capsys.readouterr().err


def test_a_file_is_evaluated_and_exported_into_a_given_place(
    run, file, shards_dir, tmp_path, capsys
):
    out = tmp_path / "results"
    arguments = [f"--run={file}", f"--data={shards_dir}"]
    assert evaluate.main(arguments) == 2
    assert "this run is one file, which has no folder" in capsys.readouterr().err
    assert evaluate.main([*arguments, f"--out={out}", "--resamples=5"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["facts"]["epoch"] == run.epoch
    assert export.main([f"--run={file}", "--format=npz", "--without_data"]) == 2
    assert "`--out`" in capsys.readouterr().err
    again = tmp_path / "again.npz"
    arguments = [f"--run={file}", "--format=npz", "--without_data", f"--out={again}"]
    assert export.main(arguments) == 0
    assert again.read_bytes() == file.read_bytes()


def rewritten(file, tmp_path, change):
    """Returns a copy of a file whose variables and metadata were changed in place."""
    variables, metadata = weights_file.read(file)
    change(variables, metadata)
    weights_file.write(tmp_path / "changed.npz", variables, metadata)
    return tmp_path / "changed.npz"


CHANGES = {
    "an array is missing": (
        lambda variables, _: variables["params"].pop("stem"),
        r"changed.npz: \d+ arrays .* expected \[.*\], found none",
    ),
    "an array has another shape": (
        lambda variables, _: variables["params"]["high"]["head"].update(
            bias=np.zeros(5, np.float32)
        ),
        r"1 arrays .*high/head/bias: expected \[3\], found \[5\]",
    ),
    "no thresholds": (
        lambda _, metadata: metadata.pop("thresholds"),
        "do not describe a run .*thresholds",
    ),
    "an export of 0.1.0": (
        lambda _, metadata: metadata["run"].pop("mean_uv"),
        "missing: mean_uv.* Export the run again",
    ),
    "a label without threshold": (
        lambda _, metadata: metadata["thresholds"]["mean"]["by_label"].pop("fast"),
        "thresholds: expected one for each label",
    ),
    "no config": (
        lambda _, metadata: metadata["run"].update(config={}),
        "metadata of its checkpoint are invalid",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_raises(name, file, tmp_path):
    change, message = CHANGES[name]
    with pytest.raises(ValueError, match=message):
        trained_run.read(rewritten(file, tmp_path, change))


def test_a_missing_run_names_the_shipped_models(tmp_path):
    with pytest.raises(ValueError, match="nothing: there is no such folder or file"):
        trained_run.read(tmp_path / "nothing")
