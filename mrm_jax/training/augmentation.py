"""Augmentation of training records on the device, inside the training step.

Record i of a batch draws from a key of its own, fold_in(key, i), so its changes do not
depend on the number of devices.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from mrm_jax.training.hparams import HParams
from mrm_jax.training.input_pipeline import Batch

Signal = Float[Array, "time lead"]
Key = UInt32[Array, "2"]

STREAM = 1  # of keys, apart from those of dropout
WANDER_CYCLES = (0.5, 5.0)  # in a window; 0.05 to 0.5 Hz in 10 s


def key_of(rng: Key, step: Int[Array, ""]) -> Key:
    """Returns the key of a step, apart from those of its dropout.

    Args:
        rng: key of the run.
        step: number of updates made before this one.
    """
    return jax.random.fold_in(jax.random.fold_in(rng, STREAM), step)


def augment(
    batch: Batch, key: Key, hparams: HParams, axis_name: str | None = None
) -> Batch:
    """Returns a batch whose records were changed at random.

    Each of these is drawn anew for each record, in this order, and is off at 0:

    - `shift`: moves the record in time by up to this share of the window, either way.
    - `crop`: keeps a random part of the window and drops up to this share of it.
    - `amplitude`: multiplies by exp(z · amplitude), z standard normal.
    - `wander`: adds a slow sine to each lead, with an amplitude of standard deviation
      `wander` and a frequency in WANDER_CYCLES, which the leads share.
    - `noise`: adds Gaussian noise, with a standard deviation of up to `noise`.
    - `lead_dropout`: sets each lead to 0 with this probability.
    - `mixup`: adds the record before it in the batch, with its labels, at a weight λ of
      up to `mixup`, and weights its own by 1 - λ. With 0.5 this is mixup with α = 1.
      The first record of a batch has none before it and stays as it is.

    Amplitudes are in units of the standardised signal, and samples that a shift or crop
    leaves empty are 0, the mean voltage.

    Args:
        batch: this device's share of a batch.
        key: raw key of the step, the same on all devices.
        hparams: hyperparameters, of which the seven above are read.
        axis_name: mapped axis that the batch is divided over, if any.

    References:
        Zhang et al., 2018, arXiv 1710.09412 (mixup).
    """
    size = len(batch.signal)
    positions = jnp.arange(size)
    if axis_name is not None:
        positions += jax.lax.axis_index(axis_name) * size
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, positions)
    change_keys, mix_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
    signal = jax.vmap(_changed, (0, 0, None))(batch.signal, change_keys, hparams)
    weights = hparams.mixup * jax.vmap(jax.random.uniform)(mix_keys)
    weights = jnp.where(positions > 0, weights, 0).astype(signal.dtype)
    return dataclasses.replace(
        batch,
        signal=_mixed(signal, weights, axis_name),
        labels=_mixed(batch.labels, weights, axis_name),
    )


def _changed(signal: Signal, key: Key, hparams: HParams) -> Signal:
    """Returns one record after every change that needs no other record."""
    keys = iter(jax.random.split(key, 5))
    signal = _shifted_and_cropped(signal, next(keys), hparams)
    normal = jax.random.normal(next(keys), (), signal.dtype)
    signal *= jnp.exp(hparams.amplitude * normal)
    signal += hparams.wander * _wander(signal, next(keys))
    level_key, noise_key, lead_key = jax.random.split(next(keys), 3)
    level = hparams.noise * jax.random.uniform(level_key, (), signal.dtype)
    signal += level * jax.random.normal(noise_key, signal.shape, signal.dtype)
    keep = jax.random.bernoulli(lead_key, 1 - hparams.lead_dropout, signal.shape[1:])
    return jnp.where(keep[None], signal, 0).astype(signal.dtype)


def _shifted_and_cropped(signal: Signal, key: Key, hparams: HParams) -> Signal:
    length = len(signal)
    move, share, place = jax.random.uniform(key, (3,), signal.dtype)
    offset = jnp.round(hparams.shift * length * (2 * move - 1)).astype(int)
    dropped = hparams.crop * share * length
    first = place * dropped
    times = jnp.arange(length)
    sources = times - offset
    kept = (sources >= 0) & (sources < length)
    kept &= (times >= first) & (times < first + length - dropped)
    return jnp.where(kept[:, None], signal[sources.clip(0, length - 1)], 0)


def _wander(signal: Signal, key: Key) -> Signal:
    """Returns a slow sine for each lead; its amplitude is standard normal."""
    cycles_key, phase_key, height_key = jax.random.split(key, 3)
    length, leads = signal.shape
    low, high = WANDER_CYCLES
    cycles = jax.random.uniform(cycles_key, (), signal.dtype, low, high)
    phase = jax.random.uniform(phase_key, (leads,), signal.dtype)
    height = jax.random.normal(height_key, (leads,), signal.dtype)
    turns = cycles * jnp.arange(length) / length
    return height[None] * jnp.sin(2 * jnp.pi * (turns[:, None] + phase[None]))


def _mixed(
    values: Float[Array, "batch *rest"],
    weights: Float[Array, " batch"],
    axis_name: str | None,
) -> Float[Array, "batch *rest"]:
    """Returns (1 - weight) · values + weight · the values before them in the batch."""
    last = values[-1:]
    if axis_name is not None:  # the first record's neighbour is on the device before
        count = jax.lax.psum(1, axis_name)
        last = jax.lax.ppermute(last, axis_name, [(i, i + 1) for i in range(count - 1)])
    before = jnp.concatenate([last, values[:-1]])
    weights = weights.reshape(-1, *[1] * (values.ndim - 1))
    return (1 - weights) * values + weights * before
