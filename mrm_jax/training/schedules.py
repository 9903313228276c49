"""Learning-rate schedules, as pure functions of traced values.

optax's schedules need the number of steps as a Python number, so that a sweep over it
would compile again. The tests compare these with optax's.
"""

import jax
import jax.numpy as jnp

from mrm_jax.training.hparams import HParams


def relative_rate(step: jax.Array | int, hparams: HParams) -> jax.Array:
    """Returns the learning rate of an update, as a fraction of its peak.

    The rate rises linearly from `initial_rate` to 1 within the first `warmup_fraction`
    of all updates, and falls along half a cosine to `final_rate` at their end:

        warm-up    initial_rate + (1 - initial_rate) s / W
        decay      final_rate + (1 - final_rate) (1 + cos(π (s - W) / (T - W))) / 2

    where s is the step, T = total_steps and W = warmup_fraction · T. The defaults, no
    warm-up and a final rate of 1, are a constant rate. A one-cycle policy is, for
    example, warmup_fraction 0.3, initial_rate 0.04 and final_rate 4e-6.

    Args:
        step: number of updates made before this one.
        hparams: hyperparameters, of which only the four names above are read.

    References:
        Loshchilov and Hutter, 2017, arXiv 1608.03983 (cosine); Smith and Topin, 2018,
        arXiv 1708.07120 (one-cycle).
    """
    warmup = hparams.warmup_fraction * hparams.total_steps
    rise = step / jnp.where(warmup > 0, warmup, 1)
    rising = hparams.initial_rate + (1 - hparams.initial_rate) * rise
    left = jnp.maximum(hparams.total_steps - warmup, 1)
    part = jnp.clip((step - warmup) / left, 0, 1)
    falling = hparams.final_rate + (1 - hparams.final_rate) * (
        (1 + jnp.cos(jnp.pi * part)) / 2
    )
    return jnp.where(step < warmup, rising, falling)
