"""Tests of exports of the baselines, which have one branch and see crops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.interop import conversion, exporter, verify
from mrm_jax.runs import trained_run
from mrm_jax.training import run_spec
from tests.helpers import numpy_reference, small_runs, small_states

pytestmark = pytest.mark.slow

POOLED = {"head_width": 16, "crop_samples": 20}
OPTIONS = {
    "resnet1d_wang": {"width": 8, **POOLED},
    "xresnet1d101": {"width": 8, "stage_blocks": (1, 1), **POOLED},
    "inception1d": {
        "branch_width": 4,
        "bottleneck_width": 4,
        "num_blocks": 3,
        **POOLED,
    },
    "s4": {"width": 6, "state_size": 2, "num_layers": 1, "crop_samples": 20},
}
CASES = [
    *((name, "onnx") for name in OPTIONS if name != "s4"),
    ("resnet1d_wang", "stablehlo"),
    ("s4", "stablehlo"),
    ("s4", "npz"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return shards.load(small_runs.write_shards(folder, records_per_fold=6))


def write_run(name, data, folder):
    """Writes and reads a run of a small baseline with random weights."""
    config = small_runs.config(data.folder)
    config.model.name = name
    with config.unlocked():
        config.model.options.update(OPTIONS[name])
    spec = run_spec.build_run_spec(config, "python -m mrm_jax.train")
    signal = jnp.zeros((2, small_runs.NUM_SAMPLES, 12))
    drawn = numpy_reference.random_variables(spec.model, signal, train=False)
    drawn = jax.tree.map(lambda array: array.astype(np.float32), drawn)
    state = dataclasses.replace(small_states.create(spec.model), **drawn)
    conversion.write_run(folder, state, spec.metadata, epoch=1)
    return trained_run.read(folder)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_an_exported_baseline_gives_its_scores(name, kind, data, tmp_path):
    run = write_run(name, data, tmp_path / "run")
    records = verify.of_shards(data)
    path = tmp_path / f"model{exporter.FORMATS[kind].SUFFIX}"
    assert exporter.export(run, kind, path, records).difference < 1e-6
    _, score = exporter.FORMATS[kind].load(path)
    found = verify.scores(score, records.signals_mv)
    assert list(found) == ["scores_mean"]
    assert np.ptp(found["scores_mean"], axis=0).max() > 0.01  # they depend on records


def test_the_fourier_transforms_of_s4_are_refused_by_onnx(data, tmp_path):
    run = write_run("s4", data, tmp_path / "run")
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match="cannot convert .* `--format stablehlo`"):
        exporter.export(run, "onnx", path, verify.of_shards(data))
    assert not path.exists()
