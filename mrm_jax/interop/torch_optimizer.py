"""Conversion of Adam's state between PyTorch and Optax, in NumPy."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mrm_jax.interop import torch_weights

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
# Settings of train_state.optimizer. An Adam with others could not continue unchanged.
SETTINGS = {
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "amsgrad": False,
    "maximize": False,
}


@dataclasses.dataclass(frozen=True)
class Adam:
    """State of Adam after some updates, with its learning rate and weight decay."""

    count: int  # number of updates made
    mu: Mapping[str, Any]  # first moments, a tree like params
    nu: Mapping[str, Any]  # second moments, a tree like params
    learning_rate: float
    weight_decay: float  # decoupled


def from_torch(
    optimizer: Mapping[str, Any],
    weights: Mapping[str, Any],
    drop: Iterable[str] = (),
) -> Adam | None:
    """Returns the state of Adam, or None if it has not made an update yet.

    PyTorch optimisers number their parameters. The names are taken from "param_names"
    if the optimiser has them; otherwise they are the names in the state dict that are
    not buffers, in order.

    Args:
        optimizer: state dict of `torch.optim.Adam`, with tensors as NumPy arrays.
        weights: state dict of the network, including dead entries.
        drop: as in `torch_weights.from_torch`.

    Raises:
        ValueError: if numbers and names do not match, a live parameter has no moments,
            or the settings differ from those of mrm_jax; says which.
    """
    groups, states = optimizer["param_groups"], optimizer["state"]
    if not states:
        return None
    _check_settings(groups)
    numbers = list(itertools.chain(*(group["params"] for group in groups)))
    names = _names(groups, weights)
    if len(names) != len(numbers):
        raise ValueError(
            f"The optimiser has {len(numbers)} parameters, but the state dict has "
            f"{len(names)} besides buffers. They cannot be matched."
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
        raise ValueError(f"The optimiser has no moments for {', '.join(missing)}.")
    counts = {int(by_name[name]["step"]) for name in live}
    if len(counts) > 1:
        raise ValueError(
            "Expected all parameters to have the same number of updates, found "
            f"{sorted(counts)}."
        )
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

    Its parameters are named and in the order of `torch_weights.to_torch`.
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
    """Checks that the settings are those of Adam in mrm_jax.

    Raises:
        ValueError: if any setting differs; names the settings.
    """
    other = [
        f"{name} = {group[name]}, expected {expected}"
        for group in groups
        for name, expected in SETTINGS.items()
        if name in group and _plain(group[name]) != expected
    ]
    if any(g["weight_decay"] and not g.get("decoupled_weight_decay") for g in groups):
        other.append("weight decay inside the gradient, expected decoupled (AdamW)")
    for rate in ("lr", "weight_decay"):
        if len({float(group[rate]) for group in groups}) > 1:
            other.append(f"several values of {rate}, expected one")
    if other:
        raise ValueError(
            "The optimiser has settings that mrm_jax does not support: "
            f"{'; '.join(other)}"
        )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
