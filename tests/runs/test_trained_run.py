"""Tests of a trained network that has no batch statistics."""

import jax
import numpy as np
import pytest

from mrm_jax import export
from mrm_jax.data import shards
from mrm_jax.interop import conversion
from mrm_jax.runs import label_mapping, trained_run
from mrm_jax.runs import scores as scores_lib
from mrm_jax.training import run_spec, train_state
from tests.helpers import small_runs

pytestmark = pytest.mark.slow

OPTIONS = {"width": 4, "num_layers": 1, "state_size": 2, "train_dynamics": True}


@pytest.fixture(scope="module")
def workdir(shards_dir, tmp_path_factory):
    """A run of an S4 whose dynamics are trained, with its initial weights."""
    config = small_runs.config(shards_dir)
    config.model.name = "s4"
    with config.unlocked():
        config.model.options = OPTIONS
    spec = run_spec.build_run_spec(config, "train")
    state = train_state.create(jax.random.PRNGKey(0), spec.model)
    assert not state.batch_stats
    workdir = tmp_path_factory.mktemp("runs") / "s4"
    conversion.write_run(workdir, state, spec.metadata, epoch=1)
    return workdir


def scores(run, data=None):
    return scores_lib.compute(run, scores_lib.open_data(run, data), "test")


def test_its_file_scores_as_its_folder_does(workdir, tmp_path):
    path = tmp_path / "s4.npz"
    flags = ["--run", str(workdir), "--format", "npz", "--out", str(path)]
    assert export.main(flags) == 0
    expected = scores(trained_run.read(workdir))
    found = scores(trained_run.read(path))
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)


def test_some_of_its_labels_are_scored(workdir, tmp_path):
    run = trained_run.read(workdir)
    other = shards.load(small_runs.write_shards(tmp_path / "other", seed=1))
    table = tmp_path / "labels.csv"
    table.write_text("label,data_label\nfast,fast\n")
    mapped = label_mapping.reduce(run, other, table)
    expected = scores(run, other).mean[:, [1]]
    found = scores(mapped.run, mapped.data)
    np.testing.assert_allclose(found.mean, expected, atol=1e-6)
