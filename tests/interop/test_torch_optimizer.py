import jax
import numpy as np
import pytest

from mrm_jax.interop import torch_optimizer, torch_weights
from tests.interop import test_torch_weights

pytestmark = pytest.mark.slow

WEIGHTS = torch_weights.to_torch(test_torch_weights.variables())
LIVE = [n for n in WEIGHTS if n.rpartition(".")[2] not in torch_optimizer.BUFFERS]
PARAMS = test_torch_weights.variables()["params"]


def optimizer(names=LIVE, **changed):
    """A state dict of torch.optim.Adam: moments 1 and 2 of every parameter."""
    state = {
        number: {
            "step": np.float32(5),
            "exp_avg": np.full_like(WEIGHTS[name], 1 + number),
            "exp_avg_sq": np.full_like(WEIGHTS[name], 2 + number),
        }
        for number, name in enumerate(names)
        if name in WEIGHTS
    }
    group = {
        "lr": 0.002,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0,
        "amsgrad": False,
        "params": list(range(len(names))),
    }
    return {"state": state, "param_groups": [group | changed]}


def moment(tree, name):
    return torch_weights.to_torch({"params": tree})[name]


def test_moments_follow_the_order_of_the_state_dict():
    found = torch_optimizer.from_torch(optimizer(), WEIGHTS)
    assert (found.count, found.learning_rate, found.weight_decay) == (5, 0.002, 0)
    for number in (0, 17, len(LIVE) - 1):
        assert np.all(moment(found.mu, LIVE[number]) == 1 + number)
        assert np.all(moment(found.nu, LIVE[number]) == 2 + number)


def test_parameter_names_override_the_order():
    backwards = LIVE[::-1]
    found = torch_optimizer.from_torch(
        optimizer(backwards, param_names=backwards), WEIGHTS
    )
    assert np.all(moment(found.mu, LIVE[0]) == len(LIVE))


def test_dead_parameters_are_counted_but_have_no_moments():
    weights = {"old.weight": np.zeros(3), **WEIGHTS}
    names = ["old.weight", *LIVE]
    found = torch_optimizer.from_torch(optimizer(names), weights, drop=[r"old\..*"])
    assert np.all(moment(found.mu, LIVE[0]) == 2)


def test_round_trip_is_exact():
    rng = np.random.default_rng(0)
    mu, nu = (jax.tree.map(lambda p: rng.normal(size=p.shape), PARAMS) for _ in "mn")
    adam = torch_optimizer.Adam(7, mu, nu, 0.01, 0.1)
    back = torch_optimizer.from_torch(torch_optimizer.to_torch(adam), WEIGHTS)
    assert (back.count, back.learning_rate, back.weight_decay) == (7, 0.01, 0.1)
    jax.tree.map(np.testing.assert_array_equal, (back.mu, back.nu), (mu, nu))


def test_an_unused_optimiser_has_no_moments():
    assert torch_optimizer.from_torch(optimizer() | {"state": {}}, WEIGHTS) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"betas": [0.8, 0.999]},
            r"betas = \[0\.8, 0\.999\], expected \(0\.9, 0\.999\)",
        ),
        ({"amsgrad": True}, "amsgrad = True, expected False"),
        ({"weight_decay": 0.1}, "weight decay inside the gradient"),
    ],
)
def test_an_unsupported_adam_variant_raises(changed, message):
    with pytest.raises(ValueError, match=message):
        torch_optimizer.from_torch(optimizer(**changed), WEIGHTS)


def test_decoupled_weight_decay_is_supported():
    given = optimizer(weight_decay=0.1, decoupled_weight_decay=True)
    assert torch_optimizer.from_torch(given, WEIGHTS).weight_decay == 0.1


def test_parameter_indices_without_names_raise():
    with pytest.raises(ValueError, match="They cannot be matched"):
        torch_optimizer.from_torch(optimizer(LIVE[:-1]), WEIGHTS)


def test_a_parameter_without_moments_is_named():
    given = optimizer()
    del given["state"][3]
    with pytest.raises(ValueError, match=f"no moments for {LIVE[3]}"):
        torch_optimizer.from_torch(given, WEIGHTS)


def test_unequal_step_counts_raise():
    given = optimizer()
    given["state"][3]["step"] = np.float32(4)
    with pytest.raises(ValueError, match=r"number of updates, found \[4, 5\]"):
        torch_optimizer.from_torch(given, WEIGHTS)
