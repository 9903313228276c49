"""Conversion of MRM-Net between PyTorch state dicts and Flax variables, in NumPy.

One table of names serves both directions. PyTorch stores the kernel of a convolution as
[out, in, tap] and that of a linear layer as [out, in]. Flax stores them as
[tap, in, out] and [in, out].
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from mrm_jax.models.mrm_net import network

Variables = dict[str, Any]
Path = tuple[str, ...]  # collection, modules, leaf

_RESIDUAL = {
    "conv1": "conv1",
    "norm1": "bn1",
    "conv2": "conv2",
    "norm2": "bn2",
    "skip_conv": "downsample.0",
    "skip_norm": "downsample.1",
}
_ECA = {"conv": "group_conv3x3", "norm": "bn1", "eca_conv": "eca_conv"}
_SE = {
    "conv": "group_conv3x3",
    "norm": "bn1",
    "squeeze": "se.fc.0",
    "excite": "se.fc.2",
}
_MULTI_SCALE = {
    "norm_a": "bn",
    "conv_b": "conv_block.0",
    "norm_b": "conv_block.1",
}
_ATTENTION = {
    "channel_gate/reduce": "conv_block3.0",
    "channel_gate/expand": "conv_block3.1",
    "channel_gate/norm": "conv_block3.2",
    "time_gate/conv": "conv_block2.0",
    "time_gate/norm": "conv_block2.1",
    "norm": "norm1",
}
_FUSED = {"residual1": _RESIDUAL, "eca": _ECA, "se": _SE, "residual2": _RESIDUAL}
_EXTRACTORS = {
    "high": (_RESIDUAL, _RESIDUAL, _RESIDUAL),
    "low": (_RESIDUAL, _ECA, _SE, _RESIDUAL, _ECA, _SE, _RESIDUAL),
}
# These names are our own, because the authors' code does not have the exchange.
_EXCHANGE = {
    "up_conv": "up.0",
    "up_norm": "up.1",
    "down_conv": "down.0",
    "down_norm": "down.1",
}
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "kernel3": "conv1.weight",
    "kernel13": "conv2.weight",
    "kernel23": "conv3.weight",
    "kernel33": "conv4.weight",
}
# Checkpoint entries that no forward pass reads. Batch norm in PyTorch counts its
# batches. In mrm_jax its decay is constant, so that nothing depends on that count.
DEAD = (r".*\.num_batches_tracked",)


def from_torch(state_dict: Mapping[str, Any], drop: Iterable[str] = ()) -> Variables:
    """Converts a state dict to the variables "params" and "batch_stats".

    The width of the network, its numbers of labels and leads, and whether it has an
    exchange or the ECA paper's convolution, are inferred from names and shapes.

    Args:
        state_dict: name -> NumPy array, as in the authors' checkpoints.
        drop: regular expressions that match the full names of dead entries, in addition
            to DEAD. Entries that the network reads are never dropped.

    Raises:
        ValueError: if names are missing or unknown or shapes are wrong; lists them all.
    """
    known = _shapes(state_dict)
    paths = {_torch_name(path): path for path in known}
    shapes = {_torch_name(path): shape for path, shape in known.items()}
    dead = re.compile("|".join([*DEAD, *drop]))
    live = {
        name: array
        for name, array in state_dict.items()
        if name in shapes or not dead.fullmatch(name)
    }
    problems = [f"missing: {name}" for name in shapes.keys() - live.keys()]
    problems += [f"unknown: {name}" for name in live.keys() - shapes.keys()]
    problems += [
        f"shape of {name}: expected {list(shapes[name])}, found {list(np.shape(array))}"
        for name, array in live.items()
        if name in shapes and shapes[name] != np.shape(array)
    ]
    if problems:
        listed = "\n  ".join(sorted(problems))
        raise ValueError(
            "This is not a state dict of MRM-Net. Pass patterns that match entries "
            f"which no forward pass reads to `drop`.\n  {listed}"
        )
    flat = {
        path: np.ascontiguousarray(_to_ours(path, np.asarray(live[name])))
        for name, path in paths.items()
    }
    return flax.traverse_util.unflatten_dict(flat)


def to_torch(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Converts variables to a state dict; the inverse of `from_torch`.

    The entries are in the order of the PyTorch modules, which is also the order of an
    optimiser's parameters.

    Raises:
        ValueError: if variables have no name in PyTorch; lists them.
    """
    flat = flax.traverse_util.flatten_dict(variables)
    unknown = ["/".join(path) for path in flat if "/".join(path[1:-1]) not in _MODULES]
    if unknown:
        raise ValueError(
            f"These are not variables of MRMNet: {', '.join(sorted(unknown))}."
        )
    return {
        _torch_name(path): np.ascontiguousarray(_to_theirs(path, np.asarray(array)))
        for path, array in sorted(flat.items(), key=lambda item: _place(item[0]))
    }


def model_of(state_dict: Mapping[str, Any]) -> tuple[network.MRMNet, int]:
    """Returns the network that matches a state dict, and its number of leads."""
    first = np.shape(state_dict.get("BaseBlock.conv_block1.0.weight", ()))
    head = np.shape(state_dict.get("fc1.weight", ()))
    width, leads = (first[0], first[1]) if len(first) == 3 else (16, 12)
    model = network.MRMNet(
        num_labels=head[0] if head else 1,
        width=width,
        mutual_stages=(),
        exchange=any(name.startswith("exchange.") for name in state_dict),
        eca_conv=any(name.endswith(".eca_conv.weight") for name in state_dict),
    )
    return model, leads


def _shapes(state_dict: Mapping[str, Any]) -> dict[Path, tuple[int, ...]]:
    """Returns the shape in PyTorch of each Flax variable, by its path in Flax."""
    return {
        path: _to_theirs(path, np.empty(shape, bool)).shape
        for path, shape in _shapes_of(*model_of(state_dict)).items()
    }


@functools.lru_cache(maxsize=8)  # weights and both moments of Adam need the same
def _shapes_of(model: network.MRMNet, leads: int) -> dict[Path, tuple[int, ...]]:
    """Returns the shape of each Flax variable, by its path."""
    signal = jnp.zeros((1, model.num_samples, leads))
    variables = jax.eval_shape(
        lambda: model.init(jax.random.PRNGKey(0), signal, train=False)
    )
    flat = flax.traverse_util.flatten_dict(variables)
    return {path: leaf.shape for path, leaf in flat.items()}


def _torch_name(path: Path) -> str:
    """Returns the name in the state dict of a Flax variable."""
    _, *module, leaf = path
    return f"{_MODULES['/'.join(module)]}.{_LEAVES[leaf]}"


def _to_ours(path: Path, array: np.ndarray) -> np.ndarray:
    return array[..., 0].T if _is_pointwise(path) else array.T


def _to_theirs(path: Path, array: np.ndarray) -> np.ndarray:
    return array.T[..., np.newaxis] if _is_pointwise(path) else array.T


def _is_pointwise(path: Path) -> bool:
    """Returns whether a linear layer in Flax is a 1-tap convolution in PyTorch."""
    return "channel_gate" in path and path[-1] == "kernel"


def _under(ours: str, theirs: str, table: Mapping[str, str]) -> dict[str, str]:
    return {f"{ours}/{our}": f"{theirs}.{their}" for our, their in table.items()}


def _modules() -> dict[str, str]:
    """Returns Flax module path -> PyTorch module name, in the order of PyTorch."""
    names = {}
    for i in range(1, 5):
        names[f"stem/conv{i}"] = f"BaseBlock.conv_block{i}.0"
        names[f"stem/norm{i}"] = f"BaseBlock.conv_block{i}.1"
    branches = list(enumerate(("high", "low"), 1))
    for i, branch in branches:
        names[f"{branch}_scale"] = f"BaseBlock.BaseScale{i}"
        names |= _under(f"{branch}_scale", f"BaseBlock.BaseScale{i}", _MULTI_SCALE)
    for i, branch in branches:
        for j, table in enumerate(_EXTRACTORS[branch]):
            names |= _under(f"{branch}/extractor_{j}", f"BaseBlock.layer{i}.{j}", table)
    names |= _under("mutual_exchange", "exchange", _EXCHANGE)
    for i, branch in branches:
        ours, theirs = f"{branch}/attention", f"Fusion_block{i}"
        names |= _under(ours, theirs, _ATTENTION)
        for j, (block, table) in enumerate(_FUSED.items()):
            names |= _under(f"{ours}/{block}", f"{theirs}.layer1.{j}", table)
    names |= {f"{branch}/head_norm": f"conv_norm{i}" for i, branch in branches}
    names |= {f"{branch}/head": f"fc{i}" for i, branch in branches}
    return names


_MODULES = _modules()
_ORDER = {module: place for place, module in enumerate(_MODULES)}


def _place(path: Path) -> tuple[int, int]:
    """Returns a sort key that gives PyTorch's order: by module, weights first."""
    _, *module, leaf = path
    return _ORDER["/".join(module)], list(_LEAVES).index(leaf)
