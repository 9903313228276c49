"""Finds the layers that produce a network's outputs, and selects some of the outputs.

These are the only variables whose shapes depend on the number of labels, so they are
found for any network, also for one of the user's own.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax.numpy as jnp

from mrm_jax.models import networks
from mrm_jax.training import train_state

Path = tuple[str, ...]  # of a variable: "params", names of modules, "kernel"


@functools.lru_cache(maxsize=8)
def label_axes(model: networks.Network, num_leads: int = 12) -> Mapping[Path, int]:
    """Returns the variables with an axis of labels, and the number of this axis."""
    own, more = (
        flax.traverse_util.flatten_dict(
            train_state.shapes(clone, num_leads=num_leads).raw_variables
        )
        for clone in (model, model.clone(num_labels=model.num_labels + 1))
    )
    axes = {}
    for path, like in own.items():
        pairs = zip(like.shape, more[path].shape, strict=True)
        changed = [axis for axis, (size, larger) in enumerate(pairs) if size != larger]
        if changed:
            axes[path] = changed[0]
    return axes


def select(
    model: networks.Network,
    variables: Mapping[str, Any],
    outputs: Sequence[int],
    num_leads: int = 12,
) -> dict[str, Any]:
    """Returns the variables of the network that computes only some outputs.

    Args:
        model: the network with all outputs.
        variables: its variables.
        outputs: indices of the outputs to keep, in their new order.
        num_leads: number of leads of its input.
    """
    axes = label_axes(model, num_leads)
    flat = flax.traverse_util.flatten_dict(dict(variables))
    kept = {
        path: jnp.take(value, jnp.array(outputs), axes[path]) if path in axes else value
        for path, value in flat.items()
    }
    return flax.traverse_util.unflatten_dict(kept)
