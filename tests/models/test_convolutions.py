"""Tests of the convolutions against values by hand and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import convolutions, layers

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


def column(*values):
    """One record of one channel."""
    return jnp.array(values, float)[None, :, None]


def normal(*shape):
    return jnp.array(RNG.standard_normal(shape), float)


def test_convolve_matches_values_by_hand():
    kernel = jnp.array([-1.0, 0, 1])[:, None, None]  # what follows less what precedes
    signal = column(1, 2, 5, 8, -1)
    found = convolutions.convolve(signal, kernel)[0, :, 0]
    np.testing.assert_array_equal(found, [2 - 0, 5 - 1, 8 - 2, -1 - 5, 0 - 8])


def test_convolve_pads_both_sides_at_stride_2():
    # "SAME" would pad an even length on the right only and begin with 1 + 2 + 3.
    ones = jnp.ones((3, 1, 1))
    found = convolutions.convolve(column(1, 2, 3, 4), ones, stride=2)[0, :, 0]
    np.testing.assert_array_equal(found, [0 + 1 + 2, 2 + 3 + 4])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("taps", "length"), [(1, 8), (3, 9), (7, 10), (33, 21), (33, 20)]
)
def test_convolve_equals_numpy(taps, length, stride):
    signal, kernel = normal(2, length, 3), normal(taps, 3, 2)
    expected = np.zeros((2, length, 2))
    for record, channel, out in np.ndindex(2, 3, 2):
        full = np.convolve(signal[record, :, channel], kernel[::-1, channel, out])
        expected[record, :, out] += full[taps // 2 :][:length]
    found = convolutions.convolve(signal, kernel, stride)
    np.testing.assert_allclose(found, expected[:, ::stride], rtol=1e-4, atol=1e-5)


def test_grouped_convolution_keeps_groups_apart():
    conv, signal = layers.Conv(32, 3, grouped=True), normal(2, 9, 32)
    variables = conv.init(jax.random.key(0), signal)
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (3, 16, 32)
    assert np.abs(kernel).max() <= (3 * 16) ** -0.5
    found = conv.apply(variables, signal)
    for group in (slice(0, 16), slice(16, 32)):
        alone = convolutions.convolve(signal[..., group], kernel[..., group])
        np.testing.assert_allclose(found[..., group], alone, rtol=1e-4, atol=1e-5)


def test_grouped_convolution_equals_one_per_group():
    conv, signal = layers.Conv(80, 3, grouped=True), normal(2, 9, 80)
    kernel = normal(3, 16, 80)
    found = conv.apply({"params": {"kernel": kernel}}, signal)
    for start in range(0, 80, 16):
        group = slice(start, start + 16)
        expected = convolutions.convolve(signal[..., group], kernel[..., group])
        np.testing.assert_allclose(found[..., group], expected, rtol=1e-4, atol=1e-5)
