"""Tests of the convolutions against values by hand and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import backends, convolutions, layers

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


def loss_and_gradients(signal, kernel, stride):
    def loss(signal, kernel):
        return jnp.sum(jnp.sin(convolutions.convolve(signal, kernel, stride)))

    return jax.value_and_grad(loss, (0, 1))(signal, kernel)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("taps", "length"), [(1, 8), (3, 9), (7, 10), (33, 40)])
def test_float64_equals_xlas_own_convolution(taps, length, stride, monkeypatch):
    signal, kernel = RNG.normal(size=(2, length, 3)), RNG.normal(size=(taps, 3, 2))
    with jax.enable_x64(True):
        found = jax.jit(loss_and_gradients, static_argnums=2)(signal, kernel, stride)
        monkeypatch.setattr(backends, "on_cpu", lambda: False)
        expected = loss_and_gradients(jnp.array(signal), jnp.array(kernel), stride)
    assert found[0].dtype == np.float64
    jax.tree.map(
        lambda f, e: np.testing.assert_allclose(f, e, rtol=1e-12, atol=1e-12),
        found,
        expected,
    )


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(backends, "on_gpu", lambda: True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("taps", [3, 33])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_runs_side_by_side_equal_each_alone(axes, taps, stride, monkeypatch):
    signal, kernel = normal(3, 2, 40, 5), normal(3, taps, 5, 4)
    signals, kernels = (
        array if axis == 0 else jnp.broadcast_to(array[:1], array.shape)
        for array, axis in zip((signal, kernel), axes, strict=True)
    )
    expected = [
        loss_and_gradients(signals[run], kernels[run], stride) for run in range(3)
    ]
    given = [
        array if axis == 0 else array[0]
        for array, axis in zip((signal, kernel), axes, strict=True)
    ]
    monkeypatch.setattr(backends, "on_gpu", lambda: True)
    call = jax.vmap(lambda s, k: loss_and_gradients(s, k, stride), axes)
    found = jax.jit(call)(*given)
    jax.tree.map(
        lambda found, *expected: np.testing.assert_allclose(
            found, np.stack(expected), rtol=1e-4, atol=1e-4
        ),
        found,
        *expected,
    )


def convolutions_of(jaxpr):
    """Yields the convolutions of a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield equation
        for parameter in jax.tree.leaves(list(equation.params.values())):
            if hasattr(parameter, "jaxpr"):
                yield from convolutions_of(parameter.jaxpr)


def test_each_gradient_of_a_population_is_one_grouped_convolution(as_on_a_gpu):
    call = jax.vmap(lambda s, k: loss_and_gradients(s, k, 1))
    program = jax.make_jaxpr(call)(normal(3, 2, 40, 5), normal(3, 7, 5, 4))
    found = [
        (equation.params["feature_group_count"], equation.params["batch_group_count"])
        for equation in convolutions_of(program.jaxpr)
    ]
    assert sorted(found) == [(1, 3), (3, 1), (3, 1)]
