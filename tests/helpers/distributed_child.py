"""Prepares a process for a tiny float64 run that can send itself a signal."""

import os
import signal

import jax

from mrm_jax.training import input_pipeline, train_state
from tests.helpers import float64, tiny_network


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

    input_pipeline.SplitLoader._load = lambda *args: float64.widen(load(*args))
    train_state.begin = lambda rng, variables, *rest: begin(
        rng, float64.widen(variables), *rest
    )


def prepare(devices: int, name: str, call: int) -> None:
    """Prepares this process, in which JAX has not started.

    Args:
        devices: number of its devices.
        name: signal that it sends itself.
        call: training or scoring call before which it does so, from 0; -1 for none.
    """
    jax.config.update("jax_num_cpu_devices", devices)
    signal_at(name, call)
    compute_in_float64()
    tiny_network.install()
