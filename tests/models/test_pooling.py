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


def test_gradients_of_max_pools_go_to_the_first_of_equal_values():
    signal = jnp.array([3.0, 3, 1, 2, 2])[None, :, None]

    def gradient(pool, weights):
        """Returns the gradient of a weighted sum."""
        return jax.grad(lambda x: jnp.sum(jnp.array(weights) * pool(x)[0, :, 0]))(
            signal
        )[0, :, 0]

    found = gradient(pooling.max_pool, [10.0, 20])
    np.testing.assert_array_equal(found, [10, 0, 0, 20, 0])
    found = gradient(pooling.max_pool_overlapping, [1.0, 2, 4, 8, 16, 32])
    np.testing.assert_array_equal(found, [1 + 2, 4, 0, 8 + 16, 32])


@pytest.mark.parametrize("pool", [pooling.max_pool, pooling.max_pool_overlapping])
def test_gradients_of_max_pools_equal_those_of_a_reduce_window(pool):
    signal = jax.random.normal(jax.random.key(0), (3, 8, 2))
    stride, pad = (2, 0) if pool is pooling.max_pool else (1, 1)

    def plainly(x):
        """Pools in one operation of XLA."""
        return jax.lax.reduce_window(
            x,
            -jnp.inf,
            jax.lax.max,
            (1, 2, 1),
            (1, stride, 1),
            ((0, 0), (pad,) * 2, (0, 0)),
        )

    found, expected = (
        jax.grad(lambda x, f=f: jnp.sum(jnp.sin(f(x))))(signal) for f in (pool, plainly)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_maximum_matches_values_by_hand():
    signal = jnp.array([[[1.0, 7], [3, 7], [3, -2]]])
    np.testing.assert_array_equal(pooling.maximum(signal, axis=1), [[3, 7]])
    np.testing.assert_array_equal(pooling.maximum(signal, axis=-1), [[7, 7, 3]])


def test_the_gradient_goes_to_the_first_maximum():
    signal = jnp.array([[[1.0, 7], [3, 7], [3, -2]]])
    weights = jnp.array([[10.0, 20]])
    found = jax.grad(lambda x: jnp.sum(weights * pooling.maximum(x, axis=1)))(signal)
    np.testing.assert_array_equal(found, [[[0, 20], [10, 0], [0, 0]]])
