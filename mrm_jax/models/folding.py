"""Folds batch norm into the kernels before it, for scoring.

Scoring normalises with the running averages, which do not change. Multiplied into the
kernel, they leave only a bias to add. On a GPU, cuDNN adds it within the convolution,
together with the ReLU. docs/accelerators.md has the figures.
"""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util

from mrm_jax.models import layers, networks, normalisation


def fold(network: networks.Network, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of a network with its batch norms folded.

    A network says which can be folded: the constant NORMALISED of its class maps the
    names of batch norms to those of the layers or kernels in the same module whose
    outputs they normalise, and nothing else reads. Other batch norms stay as they are.
    Subclasses do not inherit it: a name may mean something else there.

    Args:
        network: the network.
        variables: its variables, "params" and "batch_stats".

    Returns:
        Variables with which `network.apply(..., train=False)` returns the same outputs,
        up to rounding. They cannot be trained. What layers cast to the precision of the
        feature maps has it already, so that not every step casts it.
    """
    cast = _cast_for(network)
    params = traverse_util.flatten_dict(variables["params"])
    all_stats = variables.get("batch_stats", {})  # linen leaves out what is empty
    stats = traverse_util.flatten_dict(all_stats)
    biases = {}
    for norm in [path[:-1] for path in stats if path[-1] == "mean"]:
        kernels = _kernels_before(network, norm, params)
        if not kernels:
            continue
        scale, shift = (params[*norm, name] for name in ("scale", "bias"))
        running = (stats[*norm, name] for name in ("mean", "var"))
        factor, bias = normalisation.inference_factors(scale, shift, *running)
        biases[*norm, "bias"] = cast(bias)
        for path in kernels:
            folded = params[path] * normalisation.expand_dims(factor, params[path])
            params[path] = cast(folded) if path[-1] == "kernel" else folded
    return {
        "params": traverse_util.unflatten_dict(params),
        "batch_stats": all_stats,
        layers.FOLDED: traverse_util.unflatten_dict(biases),
    }


def _cast_for(network):
    """Returns a function that casts to the precision of a network's feature maps."""
    if getattr(network, "compute_dtype", "float32") == "float32":
        return lambda values: values  # that of the signals, which is not known here
    return lambda values: values.astype(network.compute_dtype)


def _kernels_before(network, norm, params):
    """Returns the paths of the kernels whose outputs a batch norm normalises."""
    *module, name = norm
    before = vars(type(network)).get("NORMALISED", {}).get(name, ())
    paths = [(*module, layer, *rest) for layer in before for rest in ((), ("kernel",))]
    return [path for path in paths if path in params]
