"""Small networks and their states, made quickly."""

import dataclasses
import functools
import math

import jax
import numpy as np
from flax import traverse_util

from mrm_jax.models.mrm_net import network
from mrm_jax.training import train_state
from tests.helpers import small_runs, tiny_network

MODEL = network.MRMNet(
    num_labels=len(small_runs.LABELS), num_samples=small_runs.NUM_SAMPLES, width=4
)
TINY = tiny_network.TinyNetwork(len(small_runs.LABELS), small_runs.NUM_SAMPLES)


@functools.cache
def _shapes(model):
    with jax.enable_x64(False):
        return train_state.shapes(model)


def create(model=MODEL, seed=0):
    """Returns a float32 state before the first step, without compiling anything.

    Weights have PyTorch's default distributions, as those of `train_state.create` for
    MRM-Net, but other values.
    """
    shapes, rng = _shapes(model), np.random.default_rng(seed)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    arrays = traverse_util.flatten_dict(
        {"params": state.params, "batch_stats": state.batch_stats}
    )
    for path, array in arrays.items():
        kernel = array if array.ndim > 1 else arrays.get((*path[:-1], "kernel"))
        if path[-1] in ("scale", "var"):
            array[...] = 1
        elif kernel is not None:  # and array is this, or the bias beside it
            bound = math.prod(kernel.shape[:-1]) ** -0.5
            array[...] = rng.uniform(-bound, bound, array.shape)
    key = np.array([0, seed], np.uint32)
    return jax.device_put(dataclasses.replace(state, rng=key))
