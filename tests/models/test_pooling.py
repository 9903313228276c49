import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import pooling
from tests.helpers import numpy_reference


def test_max_pools_match_values_by_hand():
    signal = jnp.array([-3.0, -1, -2, -5, -4])[None, :, None]
    np.testing.assert_array_equal(pooling.max_pool(signal)[0, :, 0], [-1, -2])
    # Both edges keep their own values: −∞ lies beside them, not 0.
    np.testing.assert_array_equal(
        pooling.max_pool_overlapping(signal)[0, :, 0], [-3, -1, -1, -2, -4, -4]
    )


@pytest.mark.parametrize("length", [1, 2, 7, 8])
def test_max_pools_equal_loops(length):
    rng = np.random.default_rng(0)
    signal = jnp.asarray(rng.standard_normal((3, length, 2)), float)
    overlapping = numpy_reference.max_pool_overlapping(np.asarray(signal))
    np.testing.assert_array_equal(pooling.max_pool_overlapping(signal), overlapping)
    pooled = pooling.max_pool(signal)
    assert pooled.shape == (3, length // 2, 2)
    if length > 1:
        expected = numpy_reference.max_pool(np.asarray(signal))
        np.testing.assert_array_equal(pooled, expected)


def test_maximum_matches_values_by_hand():
    signal = jnp.array([[[1.0, 7], [3, 7], [3, -2]]])
    np.testing.assert_array_equal(pooling.maximum(signal, axis=1), [[3, 7]])
    np.testing.assert_array_equal(pooling.maximum(signal, axis=-1), [[7, 7, 3]])


def test_the_gradient_goes_to_the_first_maximum():
    signal = jnp.array([[[1.0, 7], [3, 7], [3, -2]]])
    weights = jnp.array([[10.0, 20]])
    found = jax.grad(lambda x: jnp.sum(weights * pooling.maximum(x, axis=1)))(signal)
    np.testing.assert_array_equal(found, [[[0, 20], [10, 0], [0, 0]]])
