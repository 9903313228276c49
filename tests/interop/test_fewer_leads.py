import jax
import numpy as np
import pytest

import mrm_jax
from mrm_jax import convert, export
from mrm_jax.interop import conversion
from mrm_jax.training import run_spec, train_state
from tests.helpers import small_runs

pytestmark = pytest.mark.slow

LEADS = ("V2", "II", "AVL")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of MRM-Net on three leads, whose weights are the initial ones."""
    folder = tmp_path_factory.mktemp("leads")
    config = small_runs.config(small_runs.write_shards(folder / "shards"))
    config.data.leads = LEADS
    spec = run_spec.build_run_spec(config)
    state = train_state.create(jax.random.PRNGKey(0), spec.model, spec.num_leads)
    conversion.write_run(folder / "run", state, spec.metadata, epoch=1)
    return folder / "run"


@pytest.mark.parametrize(
    ("format_", "suffix", "package"),
    [
        ("npz", ".npz", "numpy"),
        ("stablehlo", ".stablehlo.zip", "jax"),
        ("onnx", ".onnx", "jax2onnx"),
    ],
)
def test_exports_take_the_leads_of_the_run(workdir, tmp_path, format_, suffix, package):
    pytest.importorskip(package)
    path = tmp_path / f"model{suffix}"
    flags = ["--run", str(workdir), "--format", format_, "--out", str(path)]
    assert export.main(flags) == 0  # verified on records of the test fold
    if format_ == "npz":
        assert mrm_jax.load(path).leads == LEADS


@pytest.mark.torch
def test_pytorch_takes_the_leads_of_the_run_and_gives_them_back(workdir, tmp_path):
    pytest.importorskip("torch", reason="make parity", exc_type=ImportError)
    flags = ["--run", str(workdir), "--format", "torch"]
    assert export.main([*flags, "--out", str(tmp_path / "model.pt2")]) == 0
    path = tmp_path / "weights.pth"
    assert convert.main(["--run", str(workdir), "--to_torch", str(path)]) == 0
    back = tmp_path / "back"
    assert convert.main(["--torch", str(path), "--run", str(back)]) == 0
    found, run = mrm_jax.load(back), mrm_jax.load(workdir)
    assert found.leads == LEADS
    signal_mv = np.random.default_rng(0).normal(0, 0.2, (400, 3))
    one, other = (model.predict(signal_mv, 100, LEADS) for model in (found, run))
    assert dict(one) == pytest.approx(dict(other), abs=1e-6)
