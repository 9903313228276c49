import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import s4
from mrm_jax.runtime import devices as devices_lib

pytestmark = pytest.mark.slow

SMALL = {"num_labels": 3, "num_samples": 40, "width": 8, "num_layers": 2}
MODEL = s4.S4(**SMALL)
KEY = jax.random.key(0)
DROPOUT_KEY = jax.random.PRNGKey(1)


def shapes_of(model):
    """Returns the shapes of the outputs and of the variables, without computing."""
    signal = jax.ShapeDtypeStruct((2, model.num_samples, 12), jnp.float32)
    return jax.eval_shape(
        lambda signal: model.init_with_output(KEY, signal, train=False), signal
    )


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def initialised(model, signal):
    return jax.jit(functools.partial(model.init, train=False))(KEY, signal)


@pytest.fixture(scope="module")
def variables():
    return initialised(MODEL, jnp.zeros((1, 40, 12)))


@pytest.fixture(scope="module")
def signal():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.standard_normal((4, 40, 12)), float)


score = jax.jit(functools.partial(MODEL.apply, train=False))


def train_logits(model, variables, signal, mask=None, rate=0.2):
    outputs, updated = model.apply(
        variables,
        signal,
        train=True,
        mask=mask,
        dropout_rate=rate,
        rngs={"dropout": DROPOUT_KEY},
        mutable=["batch_stats"],
    )
    jax.tree.map(
        np.testing.assert_array_equal, updated["batch_stats"], variables["batch_stats"]
    )
    return outputs.logits


# Encoder 12 · 512 + 512 = 6,656. Each of the four blocks 535,040: C 2 directions · 512
# channels · 4 pairs · 2 parts = 8,192; D 512; mix 512 · 1,024 + 1,024 = 525,312; norm
# 2 · 512 = 1,024. Decoder 513 weights for each label.
@pytest.mark.parametrize(("num_labels", "count"), [(5, 2_149_381), (71, 2_183_239)])
def test_number_of_parameters(num_labels, count):
    outputs, variables = shapes_of(s4.S4(num_labels))
    assert outputs.logits.shape == (2, num_labels)
    assert size(variables["params"]) == count
    assert size(variables["batch_stats"]) == 4 * 512  # a step size for each channel


# Each block has 16,896 more: 512 step sizes, and 512 · 4 · 2 for each of Λ, p, q and B.
@pytest.mark.parametrize(("num_labels", "count"), [(5, 2_216_965), (71, 2_250_823)])
def test_number_of_parameters_with_trained_dynamics(num_labels, count):
    _, variables = shapes_of(s4.S4(num_labels, train_dynamics=True))
    assert size(variables) == size(variables["params"]) == count


@pytest.mark.parametrize("train_dynamics", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variables_are_real_and_of_one_precision(dtype, train_dynamics):
    with jax.enable_x64(dtype == "float64"):
        model = dataclasses.replace(MODEL, train_dynamics=train_dynamics)
        signal = jax.ShapeDtypeStruct((2, 40, 12), dtype)
        found = jax.eval_shape(
            lambda signal: model.init_with_output(KEY, signal, train=False), signal
        )
    assert {leaf.dtype.name for leaf in jax.tree.leaves(found)} == {dtype}


def test_trained_dynamics_run_with_empty_batch_stats(signal):
    model = s4.S4(**SMALL, train_dynamics=True)
    params = initialised(model, signal)["params"]
    train = jax.jit(functools.partial(train_logits, model))
    logits = train({"params": params, "batch_stats": {}}, signal)
    assert logits.shape == (4, 3)


def test_padding_is_ignored(variables, signal):
    def loss(params, signal, mask):
        """Returns the sum of the logits of the unmasked records."""
        logits = train_logits(MODEL, variables | {"params": params}, signal, mask)
        return jnp.sum(logits * mask[:, None])

    padded = signal.at[2:].set(1e3)
    mask = jnp.asarray([1.0, 1, 0, 0])
    grad = jax.jit(jax.value_and_grad(loss))
    expected = grad(variables["params"], signal[:2], jnp.ones(2))
    found = grad(variables["params"], padded, mask)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
        found,
        expected,
    )


@pytest.mark.parametrize("devices", [2, 4])
def test_dropout_does_not_depend_on_the_number_of_devices(variables, signal, devices):
    @jax.jit
    def alone(signal, rate=0.2):
        return train_logits(MODEL, variables, signal, rate=rate)

    expected = alone(signal)
    assert np.abs(expected - alone(signal, 0.0)).min() > 0
    model = dataclasses.replace(MODEL, axis_name=devices_lib.AXIS)

    def share(signal):
        return train_logits(model, variables, signal)

    found = devices_lib.map_devices(share)(signal.reshape(devices, -1, 40, 12))
    np.testing.assert_allclose(
        np.reshape(found, (4, 3)), expected, rtol=1e-4, atol=1e-5
    )


def test_dropout_sets_whole_channels_to_zero():
    features, rngs = jnp.ones((4, 40, 256)), {"dropout": DROPOUT_KEY}
    dropout = s4.ChannelDropout()
    found = np.asarray(dropout.apply({}, features, jnp.ones(4), 0.2, rngs=rngs))
    assert np.all(found == found[:, :1])
    assert set(np.unique(found)) == {0, np.float32(1.25)}
    np.testing.assert_allclose(np.mean(found == 0), 0.2, atol=0.04)
    assert len({record.tobytes() for record in found}) == 4
    np.testing.assert_array_equal(dropout.apply({}, features, None, 0.2), features)


def test_a_traced_dropout_rate_of_zero_drops_nothing(variables, signal):
    found = jax.jit(lambda rate: train_logits(MODEL, variables, signal, rate=rate))(0.0)
    expected = score(variables, signal).logits
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_the_backward_kernel_feature_maps_are_causal(signal):
    model = s4.S4(**SMALL, bidirectional=False)
    variables = initialised(model, signal)

    @jax.jit
    def features(signal):
        """Returns the feature map of the last block."""
        _, state = model.apply(
            variables, signal, train=False, capture_intermediates=True
        )
        return state["intermediates"]["block_2"]["__call__"][0]

    later = signal.at[:, 25:].add(1.0)
    difference = np.abs(np.subtract(features(later), features(signal)))
    assert difference[:, :25].max() < 1e-4 < 1e-2 < difference[:, 25].max()


def test_bfloat16_logits_are_close_and_float32(variables, signal):
    half = dataclasses.replace(MODEL, compute_dtype="bfloat16")
    apply = functools.partial(half.apply, train=False, capture_intermediates=True)
    outputs, state = jax.jit(apply)(variables, signal)
    assert outputs.logits.dtype == jnp.float32
    for name in ("encoder", "block_1", "block_2"):
        assert state["intermediates"][name]["__call__"][0].dtype == jnp.bfloat16
    exact = score(variables, signal).logits
    np.testing.assert_allclose(outputs.logits, exact, atol=0.02)
    assert np.any(outputs.logits != exact)


def test_a_signal_of_another_length_raises():
    with pytest.raises(ValueError, match=r"\[batch, 40, lead\], got \[2, 44, 12\]"):
        jax.eval_shape(lambda x: MODEL.init(KEY, x, train=False), jnp.ones((2, 44, 12)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_labels": 0}, "num_labels: expected 1 or more, got 0"),
        ({"num_samples": 0}, "num_samples: expected 1 or more, got 0"),
        ({"width": 0}, "width: expected 1 or more, got 0"),
        ({"num_layers": 0}, "num_layers: expected 1 or more, got 0"),
        ({"state_size": 7}, "state_size: expected a multiple of 2, got 7"),
        ({"state_size": 0}, "state_size: expected a multiple of 2, got 0"),
        ({"compute_dtype": "float16"}, "compute_dtype: expected one of.*'float16'"),
    ],
)
def test_invalid_options_raise_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        s4.S4(**(SMALL | options))
