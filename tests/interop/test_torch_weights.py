import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.interop import torch_weights
from mrm_jax.models.mrm_net import network

pytestmark = pytest.mark.slow

SHAPE = (1, 40, 12)


def variables(**options):
    """Random numbers in the place of every variable of a narrow network."""
    model = network.MRMNet(num_labels=5, num_samples=40, width=4, **options)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.PRNGKey(0), jnp.zeros(SHAPE), train=False)
    )
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), dict(shapes))


@pytest.fixture(scope="module")
def state_dict():
    return torch_weights.to_torch(variables())


@pytest.mark.parametrize("options", [{}, {"exchange": True}, {"eca_conv": True}])
def test_round_trip_is_exact(options):
    given = variables(**options)
    back = torch_weights.from_torch(torch_weights.to_torch(given))
    assert jax.tree.structure(back) == jax.tree.structure(given)
    jax.tree.map(np.testing.assert_array_equal, back, given)


def test_kernels_are_transposed(state_dict):
    given = variables()["params"]
    kernel = given["stem"]["conv1"]["kernel"]  # [tap, in, out]
    name = "BaseBlock.conv_block1.0.weight"
    assert state_dict[name].shape == (4, 12, 11)
    assert state_dict[name][1, 2, 3] == kernel[3, 2, 1]
    gate = given["low"]["attention"]["channel_gate"]["reduce"]["kernel"]  # [in, out]
    name = "Fusion_block2.conv_block3.0.weight"
    assert state_dict[name].shape == (4, 32, 1)
    assert state_dict[name][1, 2, 0] == gate[2, 1]
    head = given["high"]["head"]["kernel"]
    assert state_dict["fc1.weight"][1, 2] == head[2, 1]


def test_running_averages_and_norms_are_renamed(state_dict):
    given = variables()
    stats = given["batch_stats"]["high"]["extractor_1"]["norm2"]
    prefix = "BaseBlock.layer1.1.bn2"
    np.testing.assert_array_equal(state_dict[f"{prefix}.running_mean"], stats["mean"])
    np.testing.assert_array_equal(state_dict[f"{prefix}.running_var"], stats["var"])
    scale = given["params"]["high"]["extractor_1"]["norm2"]["scale"]
    np.testing.assert_array_equal(state_dict[f"{prefix}.weight"], scale)


def test_width_and_labels_are_read_from_the_shapes(state_dict):
    model, leads = torch_weights.model_of(state_dict)
    assert (model.width, model.num_labels, leads) == (4, 5, 12)
    assert not model.exchange and not model.eca_conv


def test_batch_counters_are_dropped(state_dict):
    counted = state_dict | {"BaseBlock.conv_block1.1.num_batches_tracked": np.array(7)}
    back = torch_weights.from_torch(counted)
    assert jax.tree.structure(back) == jax.tree.structure(variables())


def test_other_unused_weights_must_be_listed(state_dict):
    with_dead = state_dict | {"old.layer.weight": np.zeros(3)}
    with pytest.raises(ValueError, match=r"unknown: old\.layer\.weight"):
        torch_weights.from_torch(with_dead)
    torch_weights.from_torch(with_dead, drop=[r"old\..*"])


def test_used_weights_are_never_dropped(state_dict):
    with_dead = state_dict | {"old.layer.weight": np.zeros(3)}
    back = torch_weights.from_torch(with_dead, drop=[".*"])
    jax.tree.map(np.testing.assert_array_equal, back, variables())


def test_one_error_lists_all_problems(state_dict):
    wrong = state_dict | {"stray.weight": np.zeros(3), "conv_norm1.bias": np.zeros(3)}
    del wrong["fc2.bias"]
    with pytest.raises(ValueError) as error:
        torch_weights.from_torch(wrong)
    for line in (
        "missing: fc2.bias",
        "unknown: stray.weight",
        "shape of conv_norm1.bias: expected [16], found [3]",
    ):
        assert line in str(error.value)


def test_variables_of_another_network_raise():
    other = {"params": {"dense": {"kernel": np.zeros((2, 2))}}}
    with pytest.raises(
        ValueError, match="not variables of MRMNet: params/dense/kernel"
    ):
        torch_weights.to_torch(other)
