import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import branches
from tests.helpers import numpy_reference

pytestmark = pytest.mark.slow

SIGNAL = jnp.array(np.random.default_rng(0).standard_normal((2, 10, 16)), float)
BRANCHES = {
    "high": branches.HighResolutionBranch(num_labels=3, channels=16),
    "low": branches.LowResolutionBranch(num_labels=3, channels=16),
}


def run(branch, inputs):
    """Returns the extracted map, the attended map and the logits."""
    extracted = branch.extract(inputs, None)
    attended = branch.attend(extracted, None)
    return extracted, attended, branch.classify(attended)


@pytest.mark.parametrize("name", ["high", "low"])
def test_inference_equals_the_numpy_reference(name):
    branch = BRANCHES[name]
    variables = numpy_reference.random_variables(branch, SIGNAL, method=run)
    found = jax.jit(lambda v: branch.apply(v, SIGNAL, method=run))(variables)
    variables, hidden = numpy_reference.on_host(variables), np.float64(SIGNAL)
    for i, block in enumerate(numpy_reference.EXTRACTORS[name]):
        hidden = block(hidden, numpy_reference.part(variables, f"extractor_{i}"))
    attention = numpy_reference.part(variables, "attention")
    attended = numpy_reference.attention(hidden, attention)
    expected = hidden, attended, numpy_reference.head(attended, variables)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_classify_matches_values_by_hand():
    # Two channels of mean -1 and 1 over time, so already normalised.
    inputs = jnp.array([[[-3.0, 0], [1, 2]]])
    params = {
        "head_norm": {"scale": jnp.ones(2), "bias": jnp.zeros(2)},
        "head": {"kernel": jnp.array([[1.0], [4]]), "bias": jnp.array([10.0])},
    }
    branch = branches.HighResolutionBranch(num_labels=1, channels=2)
    logits = branch.apply({"params": params}, inputs, method="classify")
    np.testing.assert_allclose(logits, [[10 - 1 + 4]], rtol=1e-5)
