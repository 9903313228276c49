import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import branches, network
from tests.helpers import numpy_reference

pytestmark = pytest.mark.slow

SMALL = {"num_labels": 3, "num_samples": 40, "width": 4}
KEY = jax.random.key(0)
STAGE_SUBSETS = [
    stages
    for count in range(4)
    for stages in itertools.combinations(branches.STAGES, count)
]


def shapes_of(model, train=False):
    """Returns the shapes of the outputs and of the variables, without computing."""
    signal = jax.ShapeDtypeStruct((2, model.num_samples, 12), jnp.float32)
    rngs = {"params": KEY, "dropout": KEY}
    return jax.eval_shape(
        lambda signal: model.init_with_output(rngs, signal, train=train), signal
    )


def num_params(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("num_samples", "high", "low"), [(1000, 502, 251), (5000, 2502, 1251)]
)
def test_shapes_match_the_documented_table(num_samples, high, low):
    model = network.MRMNet(num_labels=71, num_samples=num_samples)
    outputs, _ = shapes_of(model)
    assert outputs.high_logits.shape == outputs.low_logits.shape == (2, 71)
    assert set(outputs.high_features) == set(branches.STAGES)
    for stage in branches.STAGES:
        assert outputs.high_features[stage].shape == (2, high, 64)
        assert outputs.low_features[stage].shape == (2, low, 128)
    ((flat_high, flat_low),) = outputs.mutual_pairs
    assert flat_high.shape == flat_low.shape == (2, 64 * high)


def test_feature_maps_of_ten_seconds_have_32128_values():
    outputs, _ = shapes_of(network.MRMNet(num_labels=71))
    assert outputs.mutual_pairs[0][0].shape == (2, 32_128)


@pytest.mark.parametrize(("num_labels", "count"), [(71, 1_792_526), (9, 1_780_498)])
def test_number_of_parameters(num_labels, count):
    _, variables = shapes_of(network.MRMNet(num_labels=num_labels))
    assert num_params(variables) == count


def test_inference_equals_the_numpy_reference():
    check_scores(network.MRMNet(**SMALL))


def test_inference_with_every_option_equals_the_numpy_reference():
    check_scores(network.MRMNet(**SMALL, exchange=True, eca_conv=True))


def check_scores(model):
    signal = np.random.default_rng(1).standard_normal((2, 40, 12))
    signal = jnp.asarray(signal, float)
    variables = numpy_reference.random_variables(model, signal, train=False)
    found = jax.jit(lambda v: model.apply(v, signal, train=False))(variables)
    expected = numpy_reference.mrm_net(
        np.float64(signal), numpy_reference.on_host(variables)
    )
    for branch, (logits, features) in expected.items():
        attended = getattr(found, f"{branch}_features")["attention"]
        np.testing.assert_allclose(attended, features, rtol=1e-2, atol=1e-2)
        ours = getattr(found, f"{branch}_logits")
        np.testing.assert_allclose(ours, logits, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("case", "stages"), list(enumerate(STAGE_SUBSETS)))
def test_options_can_be_combined(case, stages):
    eca_conv, exchange, aligned = case & 1, case & 2, case & 4
    model = network.MRMNet(
        **SMALL,
        mutual_stages=stages,
        eca_conv=bool(eca_conv),
        exchange=bool(exchange),
        feature_pairing=branches.PAIRINGS[bool(aligned)],
    )
    outputs, variables = shapes_of(model, train=True)
    assert [pair[0].shape for pair in outputs.mutual_pairs] == len(stages) * [(2, 352)]
    assert ("mutual_exchange" in variables["params"]) == bool(exchange)
    block = variables["params"]["low"]["extractor_1"]
    assert ("eca_conv" in block) == bool(eca_conv)


@pytest.mark.parametrize("num_samples", [39, 42, 43])
def test_without_mutual_stages_any_length_works(num_samples):
    options = SMALL | {"num_samples": num_samples}
    outputs, _ = shapes_of(network.MRMNet(**options, mutual_stages=()))
    assert outputs.high_logits.shape == (2, 3)
    assert outputs.mutual_pairs == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 999}, "999 gives.*mutual loss.*996, 997, 1000"),
        ({"num_samples": 1002}, "1002 gives.*1000, 1001, 1004"),
        ({"num_samples": 1003}, "1003 gives.*1000, 1001, 1004"),
        (
            {"num_samples": 1002, "mutual_stages": (), "exchange": True},
            "1002 gives.*the exchange of features",
        ),
        ({"num_samples": 0}, "num_samples: expected 1 or more, got 0"),
        ({"num_labels": 0}, "num_labels: expected 1 or more, got 0"),
        ({"width": 6}, "width: expected a multiple of 4, got 6"),
        ({"width": 0}, "width: expected a multiple of 4, got 0"),
        ({"mutual_stages": ("stem",)}, r"mutual_stages.*attention.*got \('stem',\)"),
        ({"feature_pairing": "diagonal"}, "feature_pairing.*time_aligned.*'diagonal'"),
        ({"logit_divergence": "js"}, "logit_divergence.*softmax.*bernoulli.*'js'"),
    ],
)
def test_invalid_options_raise_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        network.MRMNet(**({"num_labels": 3} | options))


def test_a_signal_of_another_length_raises():
    model = network.MRMNet(**SMALL)
    with pytest.raises(ValueError, match=r"\[batch, 40, lead\], got \[2, 44, 12\]"):
        jax.eval_shape(lambda x: model.init(KEY, x, train=False), jnp.ones((2, 44, 12)))
