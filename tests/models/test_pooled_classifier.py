"""The properties that all convolutional baselines share."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import inception1d, pooled_classifier, resnet1d_wang, xresnet1d
from mrm_jax.runtime import devices as devices_lib
from tests.helpers import baselines, numpy_baselines, numpy_reference

pytestmark = pytest.mark.slow

SIZES = {"num_labels": 3, "num_samples": 45, "head_width": 6}
NETWORKS = {
    "resnet1d_wang": resnet1d_wang.ResNet1dWang(**SIZES, width=8),
    "xresnet1d101": xresnet1d.XResNet1d101(**SIZES, width=8, stage_blocks=(2, 1)),
    "inception1d": inception1d.Inception1d(
        **SIZES, branch_width=4, bottleneck_width=4, num_blocks=3
    ),
}
BATCH = 8
DROPOUT_KEY = jax.random.key(1)
HEAD = pooled_classifier.PooledHead(num_labels=40, width=50)


@pytest.fixture(params=NETWORKS)
def model(request):
    return NETWORKS[request.param]


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def batch_of(model):
    """Returns random variables, signals and labels in the default precision."""
    rng = np.random.default_rng(0)
    signal = jnp.asarray(rng.standard_normal((BATCH, model.num_samples, 12)), float)
    labels = jnp.asarray(rng.integers(0, 2, (BATCH, model.num_labels)), float)
    variables = numpy_reference.random_variables(model, signal, train=False)
    return variables, signal, labels


def apply(model, variables, signal, mask=None, rate=0.5):
    return model.apply(
        variables,
        signal,
        train=True,
        mask=mask,
        dropout_rate=rate,
        rngs={"dropout": DROPOUT_KEY},
        mutable=["batch_stats"],
    )


@functools.partial(jax.jit, static_argnums=0)
def train(model, variables, signal, labels, mask):
    """Returns the gradients, logits and moved statistics of one step."""

    def loss_fn(params):
        outputs, moved = apply(model, variables | {"params": params}, signal, mask)
        losses = jnp.sum((outputs.logits - labels) ** 2, axis=1)
        return jnp.sum(losses * mask), (outputs.logits, moved)

    return jax.grad(loss_fn, has_aux=True)(variables["params"])


@functools.partial(jax.jit, static_argnums=0)
def score(model, variables, signal):
    return model.apply(variables, signal, train=False).logits


def assert_close(found, expected, rtol=1e-9, atol=1e-9):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol),
        found,
        expected,
    )


def test_padding_changes_nothing(model, float64):
    variables, signal, labels = batch_of(model)
    records = BATCH - 2
    mask = jnp.ones(BATCH).at[records:].set(0)
    padded = signal.at[records:].set(100.0)
    grads, (logits, moved) = train(model, variables, padded, labels, mask)
    expected_grads, (expected_logits, expected_moved) = train(
        model, variables, signal[:records], labels[:records], mask[:records]
    )
    assert_close(logits[:records], expected_logits)
    assert_close(moved, expected_moved)
    assert_close(grads, expected_grads)
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float64")}


def test_no_mask_means_no_padding():
    model = NETWORKS["resnet1d_wang"]
    variables, signal, _ = batch_of(model)
    found = jax.jit(functools.partial(apply, model))(variables, signal)
    expected = jax.jit(functools.partial(apply, model))(
        variables, signal, jnp.ones(BATCH)
    )
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_four_devices_agree_with_one(model, float64):
    variables, signal, _ = batch_of(model)
    mask = jnp.ones(BATCH).at[-3:].set(0)  # the last device has padding only
    outputs, moved = jax.jit(functools.partial(apply, model))(variables, signal, mask)
    mapped = dataclasses.replace(model, axis_name=devices_lib.AXIS)
    shares, moved_shares = devices_lib.map_devices(
        functools.partial(apply, mapped, variables)
    )(signal.reshape(4, 2, *signal.shape[1:]), mask.reshape(4, 2))
    logits = shares.logits.reshape(BATCH, -1)
    assert_close(logits[:-3], outputs.logits[:-3])
    for device in range(4):
        assert_close(jax.tree.map(lambda x, i=device: x[i], moved_shares), moved)


def test_a_dropout_rate_of_zero_needs_no_key(model):
    variables, signal, _ = batch_of(model)
    jax.eval_shape(
        lambda signal: model.apply(
            variables, signal, train=True, dropout_rate=0.0, mutable=["batch_stats"]
        ),
        signal,
    )


def test_bfloat16_is_used_between_layers_only(model):
    variables, signal, labels = batch_of(model)
    half = dataclasses.replace(model, compute_dtype="bfloat16")
    mask = jnp.ones(BATCH)
    text = train.lower(half, variables, signal, labels, mask).as_text()
    found = re.findall(r"stablehlo\.convolution.*-> tensor<[0-9x]*(\w+)>", text)
    assert found and set(found) == {"bf16"}
    state = train(half, variables, signal, labels, mask)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32")}
    # bfloat16 has 8 bits, a relative error of 0.4 % per operation.
    scores = [
        jax.nn.sigmoid(score(network, variables, signal)) for network in (model, half)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.05)
    assert not np.array_equal(scores[0], scores[1])


def test_a_signal_of_another_length_raises(model):
    with pytest.raises(ValueError, match=r"\[batch, 45, lead\], got \[2, 44, 12\]"):
        jax.eval_shape(
            lambda x: model.init(DROPOUT_KEY, x, train=False), jnp.ones((2, 44, 12))
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_labels": 0}, "num_labels: expected 1 or more, got 0"),
        ({"num_samples": 0}, "num_samples: expected 1 or more, got 0"),
        ({"head_width": 0}, "head_width: expected 1 or more, got 0"),
        ({"compute_dtype": "float16"}, "compute_dtype.*bfloat16.*'float16'"),
    ],
)
def test_invalid_options_raise_at_construction(model, options, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(model, **options)


def test_initialisation(model):
    variables = jax.jit(functools.partial(model.init, train=False))(
        jax.random.key(0), jnp.zeros((1, model.num_samples, 12))
    )
    normalised = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables["params"]):
        name = path[-1].key
        if name == "kernel":
            fan_in = np.prod(leaf.shape[:-1])
            normalised.append(np.ravel(leaf) * np.sqrt(fan_in / 2))
        else:
            np.testing.assert_array_equal(leaf, {"scale": 1, "bias": 0}[name])
    drawn = np.concatenate(normalised)
    np.testing.assert_allclose(np.std(drawn), 1, rtol=0.05)
    assert np.abs(drawn).max() > 2.5  # a truncated normal distribution ends at 2.3


@pytest.mark.parametrize("length", [1, 2, 7, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_max_pool_centred_equals_a_loop(length, stride):
    rng = np.random.default_rng(0)
    signal = jnp.asarray(rng.standard_normal((3, length, 2)) - 5, float)
    expected = numpy_baselines.max_pool_centred(np.asarray(signal), stride)
    found = pooled_classifier.max_pool_centred(signal, stride)
    np.testing.assert_array_equal(found, expected)


def test_max_pool_centred_matches_values_by_hand():
    signal = jnp.array([-3.0, -1, -2, -5, -4])[None, :, None]
    # Both edges keep negative values: −∞ lies beside them, not 0.
    for stride, expected in ((1, [-1, -1, -1, -2, -4]), (2, [-1, -1, -4])):
        found = pooled_classifier.max_pool_centred(signal, stride)[0, :, 0]
        np.testing.assert_array_equal(found, expected)


def test_a_convolution_of_one_tap_skips_time_points():
    norm = pooled_classifier.ConvNorm(channels=1, taps=1, stride=2)
    signal = jnp.array([[[1.0, 10], [2, 20], [3, 30]]])
    variables = norm.init(DROPOUT_KEY, signal, None)
    variables["params"]["conv"]["kernel"] = jnp.array([[2.0], [1]])
    found = norm.apply(variables, signal, None)[0, :, 0]
    np.testing.assert_allclose(found, np.array([12, 36]) / np.sqrt(1 + 1e-5))


def test_the_first_dropout_of_the_head_has_half_of_the_rate():
    features = jax.random.normal(DROPOUT_KEY, (200, 3, 30))
    mask = jnp.ones(200)
    rngs = {"params": DROPOUT_KEY, "dropout": DROPOUT_KEY}
    _, found = HEAD.init_with_output(
        rngs, features, mask, 0.5, capture_intermediates=True
    )
    shares = [
        np.mean(found["intermediates"][f"dropout{number}"]["__call__"][0] == 0)
        for number in (1, 2)
    ]
    np.testing.assert_allclose(shares, [0.25, 0.5], atol=0.02)


def test_the_head_equals_the_numpy_reference():
    features = jax.random.normal(DROPOUT_KEY, (2, 7, 5))
    variables = numpy_reference.random_variables(HEAD, features, None, 0.5)
    found = HEAD.apply(variables, features, None, 0.5)
    expected = numpy_baselines.head(
        np.float64(features), numpy_reference.on_host(variables)
    )
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_base_class_has_no_feature_maps():
    model = pooled_classifier.PooledClassifier(num_labels=3, num_samples=10)
    with pytest.raises(NotImplementedError):
        baselines.shapes_of(model)
