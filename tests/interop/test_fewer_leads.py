import jax
import pytest

import mrm_jax
from mrm_jax import export
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
