"""Folds batch norm into the kernels before it, for scoring.

Scoring normalises with the running averages, which do not change. Multiplied into the
kernel, they leave only a bias to add. On a GPU, cuDNN adds it within the convolution,
together with the ReLU. docs/speed.md has the figures.
"""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util

from mrm_jax.models import layers, networks, normalisation


def fold(network: networks.Network, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of a network with its batch norms folded.

    A network says which can be folded: its class constant NORMALISED maps the names of
    batch norms to those of the layers or kernels in the same module whose outputs they
    normalise, and nothing else reads. Other batch norms stay as they are.

    Args:
        network: the network.
        variables: its variables, "params" and "batch_stats".

    Returns:
        Variables with which `network.apply(..., train=False)` returns the same outputs,
        up to rounding. They cannot be trained.
    """
    params = traverse_util.flatten_dict(variables["params"])
    stats = traverse_util.flatten_dict(variables["batch_stats"])
    biases = {}
    for norm in [path[:-1] for path in stats if path[-1] == "mean"]:
        kernels = _kernels_before(network, norm, params)
        if not kernels:
            continue
        factor, biases[*norm, "bias"] = normalisation.inference_factors(
            params[*norm, "scale"],
            params[*norm, "bias"],
            stats[*norm, "mean"],
            stats[*norm, "var"],
        )
        for name in kernels:
            params[name] *= normalisation.expand_dims(factor, params[name])
    return {
        "params": traverse_util.unflatten_dict(params),
        "batch_stats": variables["batch_stats"],
        layers.FOLDED: traverse_util.unflatten_dict(biases),
    }


def _kernels_before(network, norm, params):
    """Returns the paths of the kernels whose outputs a batch norm normalises."""
    *module, name = norm
    before = getattr(network, "NORMALISED", {}).get(name, ())
    paths = [(*module, layer, *rest) for layer in before for rest in ((), ("kernel",))]
    return [path for path in paths if path in params]
