import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax import losses, types
from mrm_jax.models import mrm_net, torch_weights

MODEL = mrm_net.MRMNet(num_labels=71)
# The other tests' cheap compilation would take longer to run than it saves.
optimised = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 3}
)
TERMS = ("bce_high", "bce_low", "feature_kl", "logit_kl", "loss")


@pytest.fixture(scope="module")
def golden():
    """The arrays of mrm_net_71_labels.npz; skips without the folder that has it."""
    folder = os.environ.get("MRM_JAX_GOLDEN")
    if not folder:
        pytest.skip("set MRM_JAX_GOLDEN to the folder of mrm_net_71_labels.npz")
    with np.load(Path(folder) / "mrm_net_71_labels.npz") as file:
        return dict(file)


def placed(golden):
    prefix = "state_dict/"
    weights = {k.removeprefix(prefix): v for k, v in golden.items() if prefix in k}
    variables = torch_weights.from_torch(weights)
    return jax.tree.map(lambda array: jnp.asarray(array, float), variables)


def signal(golden):
    """[record, lead, time] in the file, [record, time, lead] here."""
    return jnp.asarray(golden["input/signal"].swapaxes(1, 2), float)


def channel_major(features):
    return np.asarray(features).swapaxes(1, 2).reshape(len(features), -1)[:, ::97]


@optimised
def score(variables, signal):
    return MODEL.apply(variables, signal, train=False)


@optimised
def train_forward(variables, signal, labels):
    """The mean loss terms and the moved running averages, without dropout."""
    outputs, moved = MODEL.apply(
        variables, signal, train=True, dropout_rate=0.0, mutable=["batch_stats"]
    )
    total, terms = losses.mrm_loss(outputs, labels, types.HParams())
    return jax.tree.map(jnp.mean, terms | {"loss": total}), moved["batch_stats"]


def relative_error(found, expected):
    found, expected = np.float64(found), np.float64(expected)
    return np.max(np.abs(found - expected)) / np.max(np.abs(expected))


@pytest.fixture(scope="module")
def double(golden):
    """Everything in float64: outputs, mean loss terms, moved running averages."""
    with jax.enable_x64(True):
        variables, inputs = placed(golden), signal(golden)
        labels = jnp.asarray(golden["input/labels"], float)
        found = score(variables, inputs), *train_forward(variables, inputs, labels)
        return jax.device_get(found)


def test_every_weight_comes_back_as_it_was(golden):
    prefix = "state_dict/"
    given = {n.removeprefix(prefix): a for n, a in golden.items() if prefix in n}
    back = torch_weights.to_torch(torch_weights.from_torch(given))
    assert back.keys() == given.keys()
    assert all(np.array_equal(back[name], given[name]) for name in given)


@pytest.mark.parametrize("branch", ["high", "low"])
def test_scores_in_float32(golden, branch):
    found = getattr(score(placed(golden), signal(golden)), f"{branch}_logits")
    exact = golden[f"eval/f64/{branch}_logits"]
    torch_error = relative_error(golden[f"eval/f32/{branch}_logits"], exact)
    assert relative_error(found, exact) <= 3 * torch_error


@pytest.mark.parametrize("branch", ["high", "low"])
def test_scores_in_float64(golden, double, branch):
    logits = getattr(double[0], f"{branch}_logits")
    features = getattr(double[0], f"{branch}_features")["attention"]
    assert logits.dtype == np.float64
    assert relative_error(logits, golden[f"eval/f64/{branch}_logits"]) < 1e-9
    sampled = golden[f"eval/f64/{branch}_features_every_97th"]
    assert relative_error(channel_major(features), sampled) < 1e-9


def test_loss_terms_in_float64(golden, double):
    expected = golden["train/f64/loss_terms"]
    for term, value in zip(TERMS, expected, strict=True):
        assert relative_error(double[1][term], value) < 1e-9, term


def test_running_averages_in_float64(golden, double):
    by_name = torch_weights.to_torch({"batch_stats": double[2]})
    for name, found in by_name.items():
        expected = golden[f"running_after_one_step/{name}"]
        assert relative_error(found, expected) < 1e-9, name
