"""Adam's moments of a PyTorch optimiser's state to ours and back, in NumPy."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mrm_jax.interop import torch_weights

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
# What train_state.optimizer computes with; another Adam could not go on as it was.
SETTINGS = {
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "amsgrad": False,
    "maximize": False,
}


@dataclasses.dataclass(frozen=True)
class Adam:
    """The state of Adam after some updates, and its rates."""

    count: int  # updates made
    mu: Mapping[str, Any]  # first moments, a tree like params
    nu: Mapping[str, Any]  # second moments, likewise
    learning_rate: float
    weight_decay: float  # decoupled


def from_torch(
    optimizer: Mapping[str, Any],
    weights: Mapping[str, Any],
    drop: Iterable[str] = (),
) -> Adam | None:
    """Returns the state of Adam, or None where it made no update yet.

    An optimiser numbers its parameters; their names are "param_names" where it was
    given them, else those of the state dict that are no buffers, in its order.

    Args:
        optimizer: state dict of `torch.optim.Adam`, its tensors as NumPy arrays.
        weights: the network's state dict, dead entries included.
        drop: as in `torch_weights.from_torch`.

    Raises:
        ValueError: if numbers and names do not fit, a live parameter has no moments, or
            its settings are not ours; says which.
    """
    groups, states = optimizer["param_groups"], optimizer["state"]
    if not states:
        return None
    _check_settings(groups)
    numbers = list(itertools.chain(*(group["params"] for group in groups)))
    names = _names(groups, weights)
    if len(names) != len(numbers):
        raise ValueError(
            f"the optimiser has {len(numbers)} parameters, the state dict {len(names)} "
            "besides buffers; which is which cannot be told"
        )
    by_name = {
        name: states[number]
        for name, number in zip(names, numbers, strict=True)
        if number in states
    }
    live = torch_weights.to_torch(
        {"params": torch_weights.from_torch(weights, drop)["params"]}
    )
    missing = sorted(live.keys() - by_name.keys())
    if missing:
        raise ValueError(f"the optimiser has no moments of {', '.join(missing)}")
    counts = {int(by_name[name]["step"]) for name in live}
    if len(counts) > 1:
        raise ValueError(f"parameters were updated {sorted(counts)} times, not equally")
    mu, nu = (
        torch_weights.from_torch(
            {**weights, **{name: by_name[name][moment] for name in live}}, drop
        )["params"]
        for moment in ("exp_avg", "exp_avg_sq")
    )
    rates = groups[0]
    return Adam(counts.pop(), mu, nu, float(rates["lr"]), float(rates["weight_decay"]))


def to_torch(adam: Adam) -> dict[str, Any]:
    """Returns a state dict that `torch.optim.Adam` loads; the inverse of `from_torch`.

    Its parameters are in the order of `torch_weights.to_torch`, and named.
    """
    first, second = (
        torch_weights.to_torch({"params": tree}) for tree in (adam.mu, adam.nu)
    )
    state = {
        number: {
            "step": np.float32(adam.count),
            "exp_avg": first[name],
            "exp_avg_sq": second[name],
        }
        for number, name in enumerate(first)
    }
    group = {
        "lr": adam.learning_rate,
        "weight_decay": adam.weight_decay,
        "decoupled_weight_decay": adam.weight_decay != 0,
        **SETTINGS,
        **dict.fromkeys(("foreach", "fused")),
        **dict.fromkeys(("capturable", "differentiable"), False),
        "params": list(state),
        "param_names": list(first),
    }
    return {"state": state, "param_groups": [group]}


def _names(groups: list[Mapping[str, Any]], weights: Mapping[str, Any]) -> list[str]:
    if all("param_names" in group for group in groups):
        return list(itertools.chain(*(group["param_names"] for group in groups)))
    return [name for name in weights if name.rpartition(".")[2] not in BUFFERS]


def _check_settings(groups: list[Mapping[str, Any]]) -> None:
    """Refuses what our Adam does not compute.

    Raises:
        ValueError: names the settings.
    """
    other = [
        f"{name} = {group[name]}, ours is {expected}"
        for group in groups
        for name, expected in SETTINGS.items()
        if name in group and _plain(group[name]) != expected
    ]
    if any(g["weight_decay"] and not g.get("decoupled_weight_decay") for g in groups):
        other.append("weight decay inside the gradient, ours is decoupled (AdamW)")
    for rate in ("lr", "weight_decay"):
        if len({float(group[rate]) for group in groups}) > 1:
            other.append(f"several values of {rate}")
    if other:
        raise ValueError(f"another optimiser than ours: {'; '.join(other)}")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
