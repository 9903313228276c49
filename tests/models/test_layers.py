import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import layers
from mrm_jax.runtime import devices
from tests.helpers import numpy_reference

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
KEY = jax.random.key(1)


def normal(*shape):
    return jnp.array(RNG.standard_normal(shape), float)


def test_uniform_init_covers_pytorchs_interval():
    drawn = layers.torch_uniform(25)(jax.random.key(0), (10_000,))
    assert np.abs(drawn).max() <= 0.2
    assert np.abs(drawn).max() > 0.199
    np.testing.assert_allclose(np.std(drawn), 0.2 / np.sqrt(3), rtol=0.02)


def test_linear_matches_values_by_hand():
    params = {"kernel": jnp.array([[1.0, 2], [3, 4]]), "bias": jnp.array([10.0, 20])}
    inputs = jnp.array([[1.0, 1], [0, 2]])
    found = layers.Linear(2).apply({"params": params}, inputs)
    np.testing.assert_array_equal(found, [[14, 26], [16, 28]])
    shapes = jax.eval_shape(layers.Linear(5, use_bias=False).init, KEY, inputs)
    assert set(shapes["params"]) == {"kernel"}


def fresh_norm(channels=1):
    return {
        "params": {"scale": jnp.ones(channels), "bias": jnp.zeros(channels)},
        "batch_stats": {"mean": jnp.zeros(channels), "var": jnp.ones(channels)},
    }


def train_norm(inputs, mask=None, variables=None):
    """Returns the normalised inputs and the moved running averages."""
    mask = jnp.ones(len(inputs)) if mask is None else mask
    variables = variables or fresh_norm(inputs.shape[-1])
    norm = layers.BatchNorm()
    out, moved = norm.apply(variables, inputs, mask, mutable=["batch_stats"])
    return out, moved["batch_stats"]


def test_batch_norm_matches_values_by_hand():
    out, moved = train_norm(jnp.array([[1.0], [3.0]]))
    # Mean 2; variance 1 with n in the denominator, 2 with n - 1.
    expected = np.array([-1, 1]) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(moved["mean"], [0.9 * 0 + 0.1 * 2], rtol=1e-6)
    np.testing.assert_allclose(moved["var"], [0.9 * 1 + 0.1 * 2], rtol=1e-6)


def test_batch_norm_counts_time_steps_too():
    out, moved = train_norm(jnp.array([[[1.0], [2]], [[3], [6]]]))
    np.testing.assert_allclose(moved["mean"], [0.3], rtol=1e-6)
    np.testing.assert_allclose(moved["var"], [0.9 + 0.1 * 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(np.std(out), 1, rtol=1e-4)


def test_batch_norm_of_a_small_variance_beside_a_large_mean():
    # 1000² is even in float32 only to 0.06, and the variance is a quarter of that.
    out, moved = train_norm(jnp.array([[1000.0], [1000.25], [999.75], [1000.0]]))
    var = 2 * 0.25**2 / 4
    expected = np.array([0, 0.25, -0.25, 0]) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(out[:, 0], expected, atol=1e-3)
    np.testing.assert_allclose(moved["var"], [0.9 + 0.1 * var * 4 / 3], rtol=1e-6)


def test_batch_norm_uses_running_averages_at_inference():
    variables = {
        "params": {"scale": jnp.array([2.0]), "bias": jnp.array([5.0])},
        "batch_stats": {"mean": jnp.array([1.0]), "var": jnp.array([4 - 1e-5])},
    }
    out = layers.BatchNorm().apply(variables, jnp.array([[1.0], [7]]), None)
    np.testing.assert_allclose(out[:, 0], [5, 11], rtol=1e-6)


def test_batch_norm_of_a_single_value_gives_the_bias_and_learns_no_variance():
    variables = fresh_norm()
    variables["params"]["bias"] += 7
    out, moved = train_norm(jnp.array([[3.0]]), variables=variables)
    np.testing.assert_allclose(out, [[7.0]], rtol=1e-6)
    np.testing.assert_allclose(moved["mean"], [0.3], rtol=1e-6)
    np.testing.assert_array_equal(moved["var"], [1.0])


def test_batch_norm_ignores_padding():
    inputs = normal(5, 4, 3)
    mask = jnp.array([1.0, 0, 1, 0, 1])
    out, moved = train_norm(inputs.at[1].set(1e3), mask)
    alone, alone_moved = train_norm(inputs[mask > 0])
    np.testing.assert_allclose(out[mask > 0], alone, rtol=1e-4, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
        *((moved, alone_moved)),
    )


class Twice(nn.Module):
    @nn.compact
    def __call__(self, first, second):
        norm = layers.BatchNorm(name="norm")
        return norm(first, jnp.ones(len(first))), norm(second, jnp.ones(len(second)))


def test_batch_norm_called_twice_updates_twice():
    first, second = jnp.array([[1.0], [3]]), jnp.array([[10.0], [14]])

    (_, out), moved = Twice().apply(
        {kind: {"norm": tree} for kind, tree in fresh_norm().items()},
        first,
        second,
        mutable=["batch_stats"],
    )
    moved = moved["batch_stats"]["norm"]
    np.testing.assert_allclose(out[:, 0], [-1, 1], rtol=1e-5)
    mean = 0.9 * (0.1 * 2) + 0.1 * 12
    var = 0.9 * (0.9 + 0.1 * 2) + 0.1 * 8
    np.testing.assert_allclose(moved["mean"], [mean], rtol=1e-6)
    np.testing.assert_allclose(moved["var"], [var], rtol=1e-6)


def test_batch_norm_starts_with_default_averages():
    norm, inputs = layers.BatchNorm(), normal(4, 2) + 5
    variables = norm.init(KEY, inputs, jnp.ones(4))
    jax.tree.map(np.testing.assert_array_equal, variables, fresh_norm(2))


def test_batch_norm_over_devices_equals_the_whole_batch():
    inputs = normal(4, 3, 5, 2)  # four devices with three records each
    mask = jnp.ones((4, 3)).at[3, 1:].set(0).at[1].set(0)
    norm = layers.BatchNorm(axis_name=devices.AXIS)

    def share(inputs, mask):
        return norm.apply(fresh_norm(2), inputs, mask, mutable=["batch_stats"])

    out, moved = devices.map_devices(share)(inputs, mask)
    whole, expected = train_norm(inputs.reshape(12, 5, 2), mask.reshape(12))
    np.testing.assert_allclose(
        np.reshape(out, whole.shape), whole, rtol=1e-4, atol=1e-5
    )
    for name, value in expected.items():
        for device in range(4):
            found = moved["batch_stats"][name][device]
            np.testing.assert_allclose(found, value, rtol=1e-5)


def test_layer_norm_over_channels():
    inputs = normal(2, 3, 8) * 1e-3  # so small that eps counts: 1e-6 beside 1e-6
    variables = {"params": {"scale": normal(8), "bias": normal(8)}}
    found = layers.LayerNorm().apply(variables, inputs)
    expected = numpy_reference.layer_norm(
        np.float64(inputs), numpy_reference.on_host(variables)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
