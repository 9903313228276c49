"""Which formulation of an operation suits the backend.

It is chosen when a call is traced. `jax.lax.platform_dependent` would choose later,
when the program is lowered, but `jax.vmap` then moves the settings of a population to
the front of every feature map that passes through it, and back.
"""

import jax


def name() -> str:
    """Returns the backend on which calls that are traced now will run.

    It is "cpu", "gpu" or "tpu". A program that is exported or compiled for another
    backend has the formulations of this one. It computes the same there, perhaps more
    slowly.
    """
    return jax.default_backend()


def on_cpu() -> bool:
    """Returns whether calls that are traced now will run on a CPU."""
    return name() == "cpu"


def on_gpu() -> bool:
    """Returns whether calls that are traced now will run on a GPU."""
    return name() == "gpu"
