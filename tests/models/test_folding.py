"""Folded networks compute what they compute unfolded."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from mrm_jax.models import (
    folding,
    inception1d,
    layers,
    resnet1d_wang,
    s4,
    xresnet1d,
)
from mrm_jax.models.mrm_net import network
from tests.helpers import tiny_network

pytestmark = pytest.mark.slow


class NormFirst(resnet1d_wang.ResNet1dWang):
    """A network of the user's own, whose "norm" is before its "conv"."""

    def extract(self, signal, mask):
        """Returns feature maps of as many channels as leads."""
        signal = layers.BatchNorm(self.axis_name, name="norm")(signal, mask)
        return layers.Conv(12, 3, name="conv")(nn.relu(signal))


NETWORKS = {
    "mrm_net": network.MRMNet(3, 40, width=4),
    "mrm_net_exchange": network.MRMNet(3, 40, width=4, exchange=True, eca_conv=True),
    "resnet1d_wang": resnet1d_wang.ResNet1dWang(3, 40, head_width=6, width=8),
    "xresnet1d": xresnet1d.XResNet1d101(
        3, 40, head_width=6, width=8, stage_blocks=(2, 1)
    ),
    "inception1d": inception1d.Inception1d(3, 40, head_width=6),
    "s4": s4.S4(3, 40, width=8, num_layers=2),
    "s4_without_statistics": s4.S4(3, 40, width=8, num_layers=2, train_dynamics=True),
    "norm_first": NormFirst(3, 40, head_width=6),
    "tiny": tiny_network.TinyNetwork(3, 40),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    """A network, its variables with random statistics, and a signal, in float64."""
    model, rng = NETWORKS[request.param], np.random.default_rng(0)
    with jax.enable_x64(True):
        signal = jnp.asarray(rng.normal(size=(2, 40, 12)))
        init = functools.partial(model.init, train=False)
        variables = jax.tree.map(
            lambda x: jax.device_put(rng.uniform(0.5, 1.5, x.shape)),
            jax.eval_shape(init, jax.random.PRNGKey(0), signal),
        )
        yield model, variables, signal


def fold(model, variables):
    return jax.jit(functools.partial(folding.fold, model))(variables)


def folded_shapes(model, variables):
    folded = jax.eval_shape(functools.partial(folding.fold, model), variables)
    return traverse_util.flatten_dict(folded["folded"])


def logits(model, variables, signal):
    outputs = jax.jit(lambda *given: model.apply(*given, train=False).by_branch)
    return outputs(variables, signal)


def test_outputs_stay_the_same(case):
    model, variables, signal = case
    found = logits(model, fold(model, variables), signal)
    expected = logits(model, variables, signal)
    for branch, values in expected.items():
        np.testing.assert_allclose(found[branch], values, rtol=1e-9)


@pytest.mark.parametrize("case", ["norm_first"], indirect=True)
def test_subclasses_are_not_folded_by_the_names_of_our_networks(case):
    model, variables, _ = case
    assert folded_shapes(model, variables) == {}


@pytest.mark.parametrize("case", ["resnet1d_wang", "xresnet1d"], indirect=True)
def test_the_convolutions_of_the_residual_networks_are_folded(case):
    model, variables, _ = case
    folded = folded_shapes(model, variables)
    assert {path[-2] for path in folded} == {"norm"}
    stats = traverse_util.flatten_dict(variables["batch_stats"])
    convolutions = {path[:-1] for path in stats if path[-2] == "norm"}
    assert {path[:-1] for path in folded} == convolutions


@pytest.mark.parametrize("case", ["mrm_net", "mrm_net_exchange"], indirect=True)
def test_every_batch_norm_of_mrm_net_is_folded(case):
    model, variables, _ = case
    folded = folded_shapes(model, variables)
    stats = traverse_util.flatten_dict(variables["batch_stats"])
    assert {path[:-1] for path in folded} == {path[:-1] for path in stats}
    assert folded


def test_folded_kernels_have_the_precision_of_the_feature_maps():
    single = network.MRMNet(3, 40, width=4)
    half = single.clone(compute_dtype="bfloat16")
    signal = jnp.asarray(np.random.default_rng(0).normal(size=(2, 40, 12)), "float32")
    init = jax.jit(lambda *given: single.init(*given, train=False))
    variables = init(jax.random.PRNGKey(0), signal)
    folded = fold(half, variables)
    assert folded["params"]["stem"]["conv1"]["kernel"].dtype == jnp.bfloat16
    assert folded["params"]["high_scale"]["kernel3"].dtype == jnp.float32  # still added
    assert folded["params"]["high"]["head"]["kernel"].dtype == jnp.float32
    assert {x.dtype for x in jax.tree.leaves(folded["folded"])} == {
        jnp.dtype("bfloat16")
    }
    expected = logits(single, variables, signal)
    for branch, values in logits(half, folded, signal).items():
        np.testing.assert_allclose(values, expected[branch], atol=0.03)
