"""A process of a tiny float64 run, which can send itself a signal before a call.

In float32, rounding differences from another summation order would grow with each step.

Usage: python -m tests.helpers.distributed_child SIGNAL CALL FLAGS_OF_MRM_JAX_TRAIN
       CALL counts training and scoring calls from 0; -1: no signal
"""

import os
import signal
import sys

import jax
import numpy as np

from mrm_jax import train
from mrm_jax.training import input_pipeline, train_state
from tests.helpers import tiny_network


def signal_at(name: str, call: int) -> None:
    """Sends this process a signal before a mapped call."""
    calls, count = input_pipeline.SplitLoader.calls, 0

    def counted(loader, rows, steps_done=0):
        nonlocal count
        for each in calls(loader, rows, steps_done):
            if count == call:
                os.kill(os.getpid(), getattr(signal, name))
            count += 1
            yield each

    input_pipeline.SplitLoader.calls = counted


def compute_in_float64() -> None:
    """Converts records and states to float64, and so all values computed from them."""
    jax.config.update("jax_enable_x64", True)
    load, begin = input_pipeline.SplitLoader._load, train_state.begin

    def widened(tree):
        return jax.tree.map(
            lambda x: x.astype(float) if np.issubdtype(x.dtype, np.floating) else x,
            tree,
        )

    input_pipeline.SplitLoader._load = lambda *args: widened(load(*args))
    train_state.begin = lambda rng, variables: begin(rng, widened(variables))


if __name__ == "__main__":
    signal_at(sys.argv[1], int(sys.argv[2]))
    compute_in_float64()
    tiny_network.install()
    sys.exit(train.main(sys.argv[3:]))
