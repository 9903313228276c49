"""Tests of the convolutional baselines against their definitions in PyTorch."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, traverse_util

from mrm_jax.models import inception1d, resnet1d_wang, xresnet1d
from tests.helpers import baselines, numpy_reference
from tests.parity import compare

torch = pytest.importorskip(
    "torch", reason="the comparison needs torch: make parity", exc_type=ImportError
)

from tests.parity import torch_baselines  # noqa: E402  (it imports torch)

pytestmark = pytest.mark.torch

BATCH = 5
LEAF_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A network in both libraries, with the same options."""

    ours: type[linen.Module]
    pytorchs: Any
    small: dict[str, Any]

    def pair(self, num_labels, num_samples, small):
        """Returns our network and PyTorch's, in float64."""
        options = self.small if small else {}
        net = self.pytorchs(num_labels, **options).to(torch.float64)
        return self.ours(num_labels, num_samples=num_samples, **options), net


CASES = {
    "resnet1d_wang": Case(
        resnet1d_wang.ResNet1dWang,
        torch_baselines.ResNet1dWang,
        {"head_width": 7, "width": 8},
    ),
    "xresnet1d101": Case(
        xresnet1d.XResNet1d101,
        torch_baselines.XResNet1d,
        {"head_width": 7, "width": 8, "stage_blocks": (2, 1, 3)},
    ),
    "inception1d": Case(
        inception1d.Inception1d,
        torch_baselines.Inception1d,
        {"head_width": 7, "branch_width": 5, "bottleneck_width": 3},
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    with jax.enable_x64(True):
        yield CASES[request.param]


def to_torch(tree):
    """Returns PyTorch's name -> array of parameters, gradients or statistics."""
    found = {}
    for path, array in traverse_util.flatten_dict(tree).items():
        array = np.asarray(array)
        if path[-1] == "kernel":
            array = array.swapaxes(-1, -2)
            if array.ndim == 3:
                array = np.moveaxis(array, 0, -1)
            elif "head" not in path:
                array = array[..., None]  # a convolution of one tap
        found[".".join((*path[:-1], LEAF_NAMES[path[-1]]))] = array
    return found


def load(net, variables):
    """Gives the network our variables, all of them and no others."""
    state = to_torch(variables["params"]) | to_torch(variables["batch_stats"])
    state = {name: torch.tensor(array) for name, array in state.items()}
    result = net.load_state_dict(state, strict=False)
    missing = [n for n in result.missing_keys if not n.endswith("num_batches_tracked")]
    assert not missing and not result.unexpected_keys, result


def inputs(model):
    """Returns variables, a signal [batch, time, lead] and labels, float64."""
    rng = np.random.default_rng(3)
    signal = rng.standard_normal((BATCH, model.num_samples, torch_baselines.LEADS))
    labels = rng.integers(0, 2, (BATCH, model.num_labels)).astype(float)
    variables = numpy_reference.random_variables(
        model, jnp.asarray(signal), train=False
    )
    return variables, signal, labels


def torch_feature_maps(net, signal):
    """Returns the outputs of the network's parts, the head's logits among them."""
    found = {}

    def keep(name, module, given, output):
        found[name] = output.detach()

    for name, part in net.named_children():
        part.register_forward_hook(functools.partial(keep, name))
    with torch.no_grad():
        net.eval()(torch.tensor(signal.swapaxes(1, 2)))
    return {
        name: output.numpy().swapaxes(1, 2) if output.ndim == 3 else output.numpy()
        for name, output in found.items()
    }


def feature_maps(model, variables, signal):
    """Returns the outputs of our network's parts, and its logits as "logits"."""
    outputs, kept = jax.jit(
        functools.partial(model.apply, train=False, capture_intermediates=True)
    )(variables, signal)
    parts = dict(kept["intermediates"])
    del parts["__call__"], parts["crop"]
    found = {name: part["__call__"][0] for name, part in parts.items()}
    baselines.assert_records_differ(found)
    return jax.tree.map(np.asarray, found | {"logits": outputs.logits})


def torch_step(net, signal, labels):
    """Returns logits, gradients and running averages of one training step."""
    logits = net.train()(torch.tensor(signal.swapaxes(1, 2)))
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.tensor(labels)
    )
    loss.backward()
    found = {"logits": logits}
    found |= {f"grad/{name}": value.grad for name, value in net.named_parameters()}
    found |= {
        f"running/{name}": value
        for name, value in net.named_buffers()
        if not name.endswith("num_batches_tracked")
    }
    return {name: value.detach().numpy() for name, value in found.items()}


def step(model, variables, signal, labels):
    """Returns what `torch_step` does."""

    def loss_fn(params, signal):
        outputs, moved = model.apply(
            variables | {"params": params},
            signal,
            train=True,
            dropout_rate=0.0,
            mutable=["batch_stats"],
        )
        losses = optax.sigmoid_binary_cross_entropy(outputs.logits, labels)
        return losses.mean(), (outputs.logits, moved["batch_stats"])

    grad = jax.jit(jax.grad(loss_fn, has_aux=True))
    grads, (logits, moved) = grad(variables["params"], signal)
    found = {"logits": np.asarray(logits)}
    found |= {f"grad/{name}": value for name, value in to_torch(grads).items()}
    return found | {f"running/{name}": v for name, v in to_torch(moved).items()}


@pytest.mark.parametrize("num_labels", [5, 71])
def test_both_train_the_same_number_of_parameters(case, num_labels):
    model, net = case.pair(num_labels, 1000, small=False)
    expected = sum(parameter.numel() for parameter in net.parameters())
    assert baselines.size(baselines.shapes_of(model)[1]["params"]) == expected


# An even number of time points, and one that is odd in front of every pooling.
@pytest.mark.parametrize("num_samples", [96, 129])
def test_feature_maps_of_the_full_network_agree_at_inference(case, num_samples):
    model, net = case.pair(5, num_samples, small=False)
    variables, signal, _ = inputs(model)
    load(net, variables)
    found = feature_maps(model, variables, signal)
    assert np.array_equal(found.pop("logits"), found["head"])
    exact = torch_feature_maps(net, signal)
    compare.assert_double(compare.relative_errors(found, exact))


@pytest.mark.parametrize("num_samples", [64, 129])
def test_training_steps_agree(case, num_samples):
    model, net = case.pair(5, num_samples, small=True)
    variables, signal, labels = inputs(model)
    load(net, variables)
    exact = torch_step(net, signal, labels)
    found = step(model, variables, signal, labels)
    compare.assert_double(compare.relative_errors(found, exact))


def test_a_changed_weight_is_detected(case):
    model, net = case.pair(5, 64, small=True)
    variables, signal, _ = inputs(model)
    load(net, variables)
    with torch.no_grad():
        next(net.parameters())[0, 0, 0] += 1e-6
    found = feature_maps(model, variables, signal)
    del found["logits"]
    with pytest.raises(AssertionError, match="head"):
        compare.assert_double(
            compare.relative_errors(found, torch_feature_maps(net, signal))
        )
