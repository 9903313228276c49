import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import blocks
from tests.helpers import numpy_reference

SIGNAL = jnp.array(np.random.default_rng(0).standard_normal((2, 11, 32)), float)


def check(block, reference, signal=SIGNAL):
    """Compares the scoring of a block with its second formulation."""
    variables = numpy_reference.random_variables(block, signal, None)
    found = jax.jit(lambda v, x: block.apply(v, x, None))(variables, signal)
    expected = reference(np.float64(signal), numpy_reference.on_host(variables))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    return variables["params"]


def test_residual_block_with_identity_skip():
    params = check(blocks.ResidualBlock(32), numpy_reference.residual)
    assert set(params) == {"conv1", "norm1", "conv2", "norm2"}


def test_residual_block_that_halves_its_channels():
    params = check(blocks.ResidualBlock(16), numpy_reference.residual)
    assert params["skip_conv"]["kernel"].shape == (1, 32, 16)


def test_squeeze_and_excitation():
    params = check(blocks.SEBlock(), numpy_reference.se)
    assert params["squeeze"]["kernel"].shape == (32, 8)
    assert params["conv"]["kernel"].shape == (3, 16, 32)


@pytest.mark.parametrize("eca_conv", [False, True])
def test_efficient_channel_attention(eca_conv):
    params = check(blocks.ECABlock(eca_conv), numpy_reference.eca)
    assert params["conv"]["kernel"].shape == (7, 16, 32)
    assert ("eca_conv" in params) == eca_conv


def test_eca_gate_matches_values_by_hand():
    # A convolution that passes its input on, and constant channels, make the block
    # v + hard_sigmoid(relu(v)) · relu(v).
    values = np.array([-4, 0, 1.5, 3, 9] + 11 * [0])
    variables = {
        "params": {
            "conv": {"kernel": np.zeros((7, 16, 16), np.float32)},
            "norm": {"scale": np.ones(16), "bias": np.zeros(16)},
        },
        "batch_stats": {"norm": {"mean": np.zeros(16), "var": np.full(16, 1 - 1e-5)}},
    }
    variables["params"]["conv"]["kernel"][3] = np.eye(16)
    variables = jax.tree.map(lambda x: jnp.asarray(x, float), variables)
    signal = jnp.asarray(np.tile(values, (1, 20, 1)), float)
    found = blocks.ECABlock().apply(variables, signal, None)[0, 10, :5]
    expected = [-4, 0, 1.5 + 0.75 * 1.5, 3 + 1 * 3, 9 + 1 * 9]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("channels", "taps"), [(16, 3), (32, 3), (64, 3), (128, 5), (256, 5), (512, 5)]
)
def test_eca_taps_follow_the_papers_rule(channels, taps):
    assert blocks.eca_taps(channels) == taps
