"""The formulations of every backend compute the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import backends, convolutions, normalisation

SHAPES = [(6, 11, 3), (6, 4)]


@pytest.fixture(params=["cpu", "gpu", "tpu"], autouse=True)
def backend(request, monkeypatch):
    """Computes in float64, in the formulations of each backend."""
    monkeypatch.setattr(backends, "name", lambda: request.param)
    with jax.enable_x64(True):
        yield request.param


def plainly(inputs, scale, bias, mask):
    """Batch norm in two passes, for automatic differentiation."""
    axes = tuple(range(inputs.ndim - 1))
    weights = mask.reshape(-1, *[1] * (inputs.ndim - 1)) * jnp.ones_like(inputs)
    count = weights.sum(axes)
    mean = (weights * inputs).sum(axes) / count
    var = (weights * jnp.square(inputs - mean[(None,) * len(axes)])).sum(axes) / count
    shape = (*[1] * len(axes), -1)
    factor = scale / jnp.sqrt(var + normalisation.EPSILON)
    return (inputs - mean.reshape(shape)) * factor.reshape(shape) + bias.reshape(shape)


def gradients(function, shape, mask):
    rng = np.random.default_rng(0)
    inputs = 50 + 3 * rng.normal(size=shape)
    scale, bias = rng.normal(size=(2, shape[-1]))
    weights = rng.normal(size=shape)

    def loss(inputs, scale, bias):
        """Weighs outputs differently, also those of padding."""
        return jnp.sum(weights * jnp.sin(function(inputs, scale, bias, mask)))

    return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(inputs, scale, bias)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("padding", [0, 2])
def test_the_gradient_is_that_of_automatic_differentiation(shape, padding):
    mask = jnp.array([1.0] * (6 - padding) + [0.0] * padding)

    def ours(*arguments):
        """Leaves out the statistics."""
        return normalisation.normalise(*arguments, None)[0]

    found, expected = (gradients(f, shape, mask) for f in (ours, plainly))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-8), found, expected
    )


def test_the_gradient_over_devices_is_that_of_the_whole_batch():
    mask = jnp.array([1.0, 1, 1, 1, 1, 0])
    inputs = jnp.asarray(np.random.default_rng(1).normal(size=(6, 5, 2)))
    scale, bias = jnp.array([1.5, -2]), jnp.array([0.3, 0])

    def loss(inputs, mask, axis_name):
        """A sum over records."""
        outputs, _ = normalisation.normalise(inputs, scale, bias, mask, axis_name)
        return jnp.sum(jnp.sin(outputs) * mask.reshape(-1, 1, 1))

    whole = jax.grad(loss)(inputs, mask, None)
    shares = jax.vmap(jax.grad(loss), (0, 0, None), axis_name="batch")(
        inputs.reshape(3, 2, 5, 2), mask.reshape(3, 2), "batch"
    )
    np.testing.assert_allclose(shares.reshape(whole.shape), whole, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_normalised_with_the_gradient_of_automatic_differentiation(shape):
    def ours(inputs, scale, bias, mask):
        """Has no mask."""
        del mask
        return normalisation.normalise_rows(inputs, scale, bias, 1e-6)

    def plainly(inputs, scale, bias, mask):
        """Layer norm in two passes."""
        del mask
        shape = (*[1] * (inputs.ndim - 1), -1)
        centred = inputs - inputs.mean(-1, keepdims=True)
        deviation = jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-6)
        return centred / deviation * scale.reshape(shape) + bias.reshape(shape)

    found, expected = (gradients(f, shape, None) for f in (ours, plainly))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-8), found, expected
    )


def test_rows_far_from_zero_keep_their_variance_in_float32():
    inputs = 1000 + np.random.default_rng(3).normal(size=(50, 64)).astype(np.float32)
    expected = (inputs - np.float64(inputs).mean(-1, keepdims=True)) / (
        np.float64(inputs).std(-1, keepdims=True)
    )
    found = normalisation.normalise_rows(
        jnp.asarray(inputs), jnp.ones(64, np.float32), jnp.zeros(64, np.float32), 1e-6
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=3e-4)  # 1000 in float32: ± 3e-5


def test_a_grouped_convolution_is_a_convolution_of_each_group():
    rng = np.random.default_rng(2)
    signal = jnp.asarray(rng.normal(size=(2, 9, 160)))
    kernel = jnp.asarray(rng.normal(size=(3, 16, 160)))
    found = jax.jit(convolutions.convolve_grouped)(signal, kernel)
    expected = [
        convolutions.convolve(signal[..., i : i + 16], kernel[..., i : i + 16])
        for i in range(0, 160, 16)
    ]
    np.testing.assert_allclose(found, jnp.concatenate(expected, -1), rtol=1e-9)
