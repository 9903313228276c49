"""Tests of each format: its files are written, loaded and score records."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.interop import exporter, npz_format, verify

OUTPUTS = ("scores_mean", "scores_high", "scores_low")
pytestmark = pytest.mark.slow

CASES = [
    pytest.param(kind, marks=[pytest.mark.torch] if kind == "torch" else [])
    for kind in exporter.FORMATS
]


@pytest.fixture(scope="module")
def records(shards_dir):
    return verify.of_shards(shards.load(shards_dir))


@pytest.fixture(scope="module")
def own(run, records):
    found = verify.own_scores(run, run.model, records)
    # Else equal scores would say little.
    assert np.ptp(found["scores_mean"], axis=0).min() > 0.01
    return found


@pytest.fixture(scope="module")
def written(run, records, tmp_path_factory):
    """Exports a format once; returns its path and the differences found."""
    done = {}

    def export(kind):
        if kind not in done:
            folder = tmp_path_factory.mktemp(kind)
            path = folder / f"model{exporter.FORMATS[kind].SUFFIX}"
            done[kind] = path, exporter.export(run, kind, path, records)
        return done[kind]

    return export


@pytest.mark.parametrize("kind", CASES)
def test_a_file_gives_the_runs_scores_for_any_batch_size(
    kind, run, records, own, written
):
    if kind == "torch":
        pytest.importorskip("torch", reason="make parity", exc_type=ImportError)
    path, result = written(kind)
    assert result.num_bytes == path.stat().st_size
    assert result.difference < 1e-6 and result.rounding is None
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    said, score = exporter.FORMATS[kind].load(path)
    assert said == exporter.network(run).metadata
    found = score(records.signals_mv[1:])
    assert set(found) == set(OUTPUTS) == own.keys()
    for name in own:
        np.testing.assert_allclose(found[name], own[name][1:], atol=1e-6, rtol=0)


def test_onnx_has_names_and_a_dynamic_batch_size(written):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(written("onnx")[0])
    given, *_ = graph.graph.input
    assert given.name == "signal_mv" and len(graph.graph.input) == 1
    shape = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert shape == ["batch", 40, 12]
    assert [o.name for o in graph.graph.output] == list(OUTPUTS)
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 18)]
    assert "[batch, 40, 12], in mV at 100 Hz, leads I, II" in graph.doc_string
    assert graph.producer_name == "mrm_jax"


def test_stablehlo_runs_without_this_project(written, records, tmp_path):
    np.save(tmp_path / "signal_mv.npy", records.signals_mv)
    program = f"""
import json, sys, zipfile
import jax, jax.export, numpy as np
with zipfile.ZipFile({str(written("stablehlo")[0])!r}) as file:
    metadata = json.loads(file.read("metadata.json"))
    exported = jax.export.deserialize(bytearray(file.read("scores.jax_export")))
scores = exported.call(np.load("signal_mv.npy"))["scores_mean"]
assert "mrm_jax" not in sys.modules
print(json.dumps([metadata["labels"], exported.platforms, np.shape(scores)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"JAX_PLATFORMS": "cpu"},
        check=True,
    )
    expected = [["slow", "fast", "loud"], ["cpu", "cuda", "tpu"], [6, 3]]
    assert json.loads(done.stdout) == expected


def test_arrays_equal_those_of_the_run(written, run):
    with np.load(written("npz")[0], allow_pickle=False) as file:
        kernel = file["params/stem/conv1/kernel"]
        mean = file["batch_stats/stem/norm1/mean"]
    np.testing.assert_array_equal(kernel, run.state.params["stem"]["conv1"]["kernel"])
    np.testing.assert_array_equal(mean, run.state.batch_stats["stem"]["norm1"]["mean"])


def test_the_network_can_be_rebuilt_from_arrays(written, run):
    found = npz_format.read(written("npz")[0])
    assert found.model.exchange and found.model.eca_conv and found.model.width == 4
    jax.tree.map(np.testing.assert_array_equal, found.variables, run.variables)


def test_mismatched_arrays_raise(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"other.npz is damaged.*found no metadata"):
        npz_format.read(tmp_path / "other.npz")


@pytest.mark.torch
def test_the_shipped_pytorch_network_requires_all_weights():
    torch = pytest.importorskip("torch", reason="make parity", exc_type=ImportError)
    from mrm_jax.interop import torch_model

    net = torch_model.TorchMRMNet(num_labels=3, width=4)
    weights = {n: w for n, w in net.state_dict().items() if "fc1.bias" not in n}
    expected = "Missing names: fc1.bias. Unknown names: fc3.bias"
    with pytest.raises(ValueError, match=expected):
        net.load_weights(weights | {"fc3.bias": torch.zeros(3)})
