import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import state_space
from mrm_jax.models.state_space import Dynamics

KEY = jax.random.key(0)
CHANNELS = 3


def in_float64(test):
    """Runs a test in float64."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with jax.enable_x64(True):
            test(*args, **kwargs)

    return run


kernel = functools.partial(jax.jit, static_argnums=3)(state_space.kernel)


def with_conjugates(pairs):
    return np.concatenate([pairs, np.conj(pairs)], axis=-1)


def complex_normal(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def hippo_dynamics(state_size):
    hippo, _ = state_space.normal_plus_low_rank(state_size)
    return Dynamics(*(np.broadcast_to(x, (CHANNELS, x.size)) for x in hippo))


def random_dynamics(state_size):
    """Returns dynamics whose p, q and B have nothing to do with each other."""
    rng, shape = np.random.default_rng(0), (CHANNELS, state_size // 2)
    return Dynamics(
        eigenvalues=-rng.uniform(0.2, 2, shape) + 3j * rng.standard_normal(shape),
        left=complex_normal(rng, *shape) / 4,
        right=complex_normal(rng, *shape) / 4,
        inputs=complex_normal(rng, *shape),
    )


def discretise(log_step, dynamics):
    """Returns the dense Ā and B̄ of each channel by the bilinear transform."""
    eigenvalues, left, right, inputs = (with_conjugates(part) for part in dynamics)
    for step, *system in zip(
        np.exp(log_step), eigenvalues, left, right, inputs, strict=True
    ):
        matrix = np.diag(system[0]) - np.outer(system[1], system[2])
        inverse = np.linalg.inv(np.eye(len(matrix)) - step / 2 * matrix)
        discrete = inverse @ (np.eye(len(matrix)) + step / 2 * matrix)
        yield discrete, step * inverse @ system[3]


def recurrence(log_step, dynamics, outputs, length):
    """Returns the kernel by running each system on an impulse, sample by sample."""
    found = np.zeros((*outputs.shape[:2], length))
    for channel, (discrete, state) in enumerate(discretise(log_step, dynamics)):
        missing = np.eye(len(discrete)) - np.linalg.matrix_power(discrete, length)
        weights = with_conjugates(outputs[:, channel]) @ np.linalg.inv(missing)
        for time in range(length):
            value = weights @ state
            np.testing.assert_allclose(value.imag, 0, atol=1e-9)
            found[:, channel, time] = value.real
            state = discrete @ state
    return found


@pytest.mark.parametrize("state_size", [2, 8, 64])
def test_legs_is_normal_plus_low_rank(state_size):
    matrix, inputs = state_space.legs(state_size)
    hippo, basis = state_space.normal_plus_low_rank(state_size)
    eigenvalues, left, right, found_inputs = (with_conjugates(part) for part in hippo)
    basis = with_conjugates(basis)
    np.testing.assert_allclose(
        basis @ basis.conj().T, np.eye(state_size), rtol=0, atol=1e-12
    )
    found = basis @ (np.diag(eigenvalues) - np.outer(left, right)) @ basis.conj().T
    np.testing.assert_allclose(found, matrix, rtol=0, atol=1e-12 * state_size**2)
    np.testing.assert_allclose(basis @ found_inputs, inputs, rtol=0, atol=1e-11)


def test_legs_of_size_three():
    matrix, inputs = state_space.legs(3)
    expected = -np.array([[1, 0, 0], [np.sqrt(3), 2, 0], [np.sqrt(5), np.sqrt(15), 3]])
    np.testing.assert_allclose(matrix, expected)
    np.testing.assert_allclose(inputs, np.sqrt([1, 3, 5]))


@pytest.mark.parametrize("dynamics", [hippo_dynamics(8), random_dynamics(6)])
@pytest.mark.parametrize("length", [1, 2, 63, 100])
@in_float64
def test_the_kernel_equals_the_recurrence(dynamics, length):
    log_step = np.log([0.001, 0.03, 0.1])
    pairs = dynamics.left.shape[-1]
    outputs = complex_normal(np.random.default_rng(1), 2, CHANNELS, pairs)
    found = kernel(
        jnp.asarray(log_step),
        Dynamics(*map(jnp.asarray, dynamics)),
        jnp.asarray(outputs),
        length,
    )
    assert found.dtype == jnp.float64
    expected = recurrence(log_step, dynamics, outputs, length)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-12)


def test_a_float32_kernel_is_close_to_the_recurrence():
    log_step, dynamics = np.log([0.001, 0.03, 0.1]), hippo_dynamics(8)
    outputs = complex_normal(np.random.default_rng(1), 1, CHANNELS, 4)
    found = kernel(
        jnp.asarray(log_step),
        Dynamics(*map(jnp.asarray, dynamics)),
        jnp.asarray(outputs),
        1000,
    )
    assert found.dtype == jnp.float32
    expected = recurrence(log_step, dynamics, outputs, 1000)
    scale = np.abs(expected).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-4)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("length", [1, 9, 10])
@in_float64
def test_fft_convolution_equals_the_sum(directions, length):
    rng = np.random.default_rng(2)
    signal = rng.standard_normal((2, length, CHANNELS))
    kernels = rng.standard_normal((directions, CHANNELS, length))
    expected = np.zeros_like(signal)
    for time in range(length):
        for source in range(length):
            lag = time - source
            if lag >= 0:
                expected[:, time] += kernels[0, :, lag] * signal[:, source]
            elif directions == 2:
                expected[:, time] += kernels[1, :, -lag - 1] * signal[:, source]
    found = state_space.fft_convolve(jnp.asarray(signal), jnp.asarray(kernels))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def layer_and_variables(length=20, channels=4, **options):
    layer = state_space.StateSpace(8, **options)
    return layer, jax.jit(layer.init)(KEY, jnp.zeros((1, length, channels)))


@pytest.mark.parametrize("bidirectional", [False, True])
@in_float64
def test_only_a_bidirectional_layer_sees_the_future(bidirectional):
    layer, variables = layer_and_variables(bidirectional=bidirectional)
    signal = jnp.asarray(np.random.default_rng(3).standard_normal((1, 20, 4)))
    jacobian = jax.jacobian(lambda signal: layer.apply(variables, signal).sum((0, 2)))
    influence = np.abs(jax.jit(jacobian)(signal)).sum(
        (1, 3)
    )  # [time of output, of input]
    assert np.all(influence[np.tril_indices(20)] > 1e-6)
    future = influence[np.triu_indices(20, 1)]
    assert np.all(future > 1e-6) if bidirectional else np.all(future < 1e-12)


def test_channels_do_not_mix():
    layer, variables = layer_and_variables()
    signal = jnp.zeros((1, 20, 4)).at[:, :, 2].set(1)
    found = np.abs(jax.jit(layer.apply)(variables, signal)).max((0, 1))
    assert found[2] > 1e-3
    np.testing.assert_allclose(np.delete(found, 2), 0, atol=1e-7)


@in_float64
def test_initial_values():
    length = 50
    layer, variables = layer_and_variables(length, 512)
    log_step = np.asarray(variables["batch_stats"]["log_step"])
    assert np.log(0.001) <= log_step.min() < np.log(0.0011)
    assert np.log(0.091) < log_step.max() <= np.log(0.1)
    np.testing.assert_allclose(log_step.mean(), np.log(0.01), atol=0.2)
    params = variables["params"]
    np.testing.assert_allclose(np.std(params["skip"]), 1, atol=0.1)
    outputs = np.asarray(params["outputs"]) @ [1, 1j]
    hippo, _ = state_space.normal_plus_low_rank(8)
    dynamics = Dynamics(*(np.broadcast_to(part, (512, 4)) for part in hippo))
    drawn = []
    for channel, (discrete, _) in enumerate(discretise(log_step, dynamics)):
        missing = np.eye(8) - np.linalg.matrix_power(discrete, length)
        weights = with_conjugates(outputs[:, channel]) @ np.linalg.inv(missing)
        np.testing.assert_allclose(weights[:, 4:], weights[:, :4].conj(), atol=1e-9)
        drawn.append(weights[:, :4])
    for part in (np.real(drawn), np.imag(drawn)):
        np.testing.assert_allclose(part.mean(), 0, atol=0.05)
        np.testing.assert_allclose(part.var(), 0.5, atol=0.05)


def test_fixed_and_trained_dynamics_start_equal():
    fixed, variables = layer_and_variables()
    trained, trained_variables = layer_and_variables(train_dynamics=True)
    assert "batch_stats" not in trained_variables
    params = trained_variables["params"] | variables["params"]
    params["log_step"] = variables["batch_stats"]["log_step"]
    signal = jnp.asarray(np.random.default_rng(4).standard_normal((2, 20, 4)), float)
    np.testing.assert_allclose(
        jax.jit(trained.apply)({"params": params}, signal),
        jax.jit(fixed.apply)(variables, signal),
        rtol=1e-5,
        atol=1e-6,
    )
    power = jax.grad(lambda p: (trained.apply({"params": p}, signal) ** 2).sum())
    grads = jax.jit(power)(params)
    for name in ("log_step", "eigenvalues", "left", "right", "inputs"):
        assert np.abs(grads[name]).min() > 0, name


def test_a_bfloat16_signal_is_filtered_in_float32():
    layer, variables = layer_and_variables()
    signal = np.random.default_rng(5).standard_normal((2, 20, 4))
    signal = jnp.asarray(signal, jnp.bfloat16)
    apply = jax.jit(layer.apply)
    found = apply(variables, signal)
    assert found.dtype == jnp.bfloat16
    exact = apply(variables, signal.astype(jnp.float32))
    assert exact.dtype == jnp.float32
    np.testing.assert_array_equal(found, exact.astype(jnp.bfloat16))
