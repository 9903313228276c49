"""Tests of the S4 classifier against its definition in PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from mrm_jax.models import s4, state_space
from tests.parity import compare

torch = pytest.importorskip(
    "torch", reason="the comparison needs torch: make parity", exc_type=ImportError
)

from tests.parity import torch_s4  # noqa: E402  (it imports torch)

pytestmark = pytest.mark.torch

DYNAMICS = ("eigenvalues", "left", "right", "inputs")
SMALL = {"num_labels": 5, "num_samples": 45, "width": 6, "state_size": 4}
LABELS = np.random.default_rng(1).integers(0, 2, (3, 5)).astype(float)


def random_variables(model):
    """Returns the initial variables, moved at random, so that no value is special."""
    rng = np.random.default_rng(0)
    init = jax.jit(functools.partial(model.init, train=False))
    variables = init(jax.random.key(0), jnp.zeros((1, model.num_samples, 12)))
    return jax.tree.map(
        lambda x: np.asarray(x) + 0.05 * rng.standard_normal(x.shape), variables
    )


def to_torch(tree):
    """Returns the state dict of parameters or gradients in our layout."""
    found = {}
    for name, array in traverse_util.flatten_dict(tree, sep=".").items():
        array = np.asarray(array)
        if name.endswith("kernel"):
            array = array.T
        for ours in ("kernel", "scale"):
            name = name.replace(ours, "weight")
        found[name] = torch.tensor(array)
    return found


def torch_network(model, variables):
    """Returns the network in PyTorch; what the model does not train needs no grad."""
    net = torch_s4.TorchS4(
        model.num_labels,
        model.num_samples,
        model.width,
        model.state_size,
        model.num_layers,
    ).to(torch.float64)
    trained = to_torch(variables["params"])
    fixed = to_torch(variables.get("batch_stats", {}))
    if not model.train_dynamics:
        hippo, _ = state_space.normal_plus_low_rank(model.state_size)
        for block, name in [(b, n) for b in net.blocks for n in DYNAMICS]:
            pairs = torch.view_as_real(torch.tensor(getattr(hippo, name)))
            shape = (model.width, *pairs.shape)
            fixed[f"{block}.state_space.{name}"] = pairs.expand(shape)
    net.load_state_dict(trained | fixed, strict=True)
    for name in fixed:
        net.get_parameter(name).requires_grad_(False)
    return net


def torch_features(net, signal):
    """Returns name -> feature map, and the logits."""
    logits, features = net(torch.tensor(signal))
    names = ["encoder", *net.blocks]
    return dict(zip(names, features, strict=True)) | {"logits": logits}


def our_features(model, variables, signal):
    """Returns what `torch_features` does."""
    # Cheap compilation, the tests' setting, makes large products slow.
    options = {"xla_backend_optimization_level": 3 if model.width > 100 else 0}
    apply = functools.partial(model.apply, train=False, capture_intermediates=True)
    outputs, state = jax.jit(apply, compiler_options=options)(variables, signal)
    maps = {
        name: value["__call__"][0]
        for name, value in state["intermediates"].items()
        if name.startswith(("encoder", "block"))
    }
    return maps | {"logits": outputs.logits}


@pytest.mark.parametrize(
    ("options", "records"), [(SMALL, 3), ({"num_labels": 71}, 1)], ids=["small", "full"]
)
def test_feature_maps_and_logits_agree(options, records):
    with jax.enable_x64(True):
        model = s4.S4(**options)
        variables = random_variables(model)
        shape = (records, model.num_samples, 12)
        signal = np.random.default_rng(2).standard_normal(shape)
        with torch.no_grad():
            exact = torch_features(torch_network(model, variables), signal)
        assert list(exact) == [
            "encoder",
            "block_1",
            "block_2",
            "block_3",
            "block_4",
            "logits",
        ]
        found = our_features(model, variables, signal)
        compare.assert_double(
            compare.relative_errors(
                found, {name: value.numpy() for name, value in exact.items()}
            )
        )


@pytest.mark.parametrize("train_dynamics", [False, True])
def test_logits_and_gradients_of_a_training_step_agree(train_dynamics):
    with jax.enable_x64(True):
        model = s4.S4(**SMALL, train_dynamics=train_dynamics)
        variables = random_variables(model)
        signal = np.random.default_rng(2).standard_normal((3, 45, 12))
        net = torch_network(model, variables)
        logits, _ = net(torch.tensor(signal))
        torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.tensor(LABELS)
        ).backward()
        exact = {
            name: value.grad.numpy()
            for name, value in net.named_parameters()
            if value.requires_grad
        }
        found_logits, grads = our_step(model, variables, signal)
        found = {name: value.numpy() for name, value in to_torch(grads).items()}
        compare.assert_double(
            compare.relative_errors(
                found | {"logits": found_logits},
                exact | {"logits": logits.detach().numpy()},
            )
        )


def our_step(model, variables, signal):
    """Returns logits and gradients of a step without dropout."""
    fixed = jax.tree.map(jnp.asarray, variables.get("batch_stats", {}))

    def loss_fn(params):
        """Returns the mean loss with the logits and the state after the step."""
        outputs, updated = model.apply(
            {"params": params, "batch_stats": fixed},
            jnp.asarray(signal),
            train=True,
            dropout_rate=0.0,
            mutable=["batch_stats"],
        )
        loss = optax.sigmoid_binary_cross_entropy(outputs.logits, LABELS).mean()
        return loss, (outputs.logits, updated["batch_stats"])

    step = jax.jit(jax.grad(loss_fn, has_aux=True))
    grads, (logits, updated) = step(variables["params"])
    jax.tree.map(np.testing.assert_array_equal, updated, fixed)
    return np.asarray(logits), grads


@pytest.mark.parametrize("train_dynamics", [False, True])
@pytest.mark.parametrize("num_labels", [5, 71])
def test_the_number_of_parameters_agrees(num_labels, train_dynamics):
    model = s4.S4(num_labels, train_dynamics=train_dynamics)
    signal = jax.ShapeDtypeStruct((1, 1000, 12), jnp.float32)
    variables = jax.eval_shape(
        lambda x: model.init(jax.random.key(0), x, train=False), signal
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    net = torch_s4.TorchS4(num_labels, 1000)
    assert count == sum(
        value.numel()
        for name, value in net.named_parameters()
        if train_dynamics or not name.endswith((*DYNAMICS, "log_step"))
    )
