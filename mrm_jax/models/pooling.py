"""Maxima over time and over channels, with PyTorch's gradients."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers


def max_pool(signal: layers.Map) -> Float[Array, "batch time_out channel"]:
    """Returns the maximum of every two neighbours, stride 2; drops an odd last one.

    As a maximum of two slices: its gradient is two selects, where that of a reduce
    window is a scatter, which accelerators and XLA's CPU backend run slowly.
    """
    even = signal.shape[1] // 2 * 2
    return jnp.maximum(signal[:, 0:even:2], signal[:, 1:even:2])


def max_pool_overlapping(
    signal: layers.Map,
) -> Float[Array, "batch time_plus_1 channel"]:
    """Returns the maximum of width 2, stride 1, with one −∞ on either side."""
    inner = jnp.maximum(signal[:, :-1], signal[:, 1:])
    return jnp.concatenate([signal[:, :1], inner, signal[:, -1:]], axis=1)


def maximum(
    signal: layers.Map, axis: int
) -> Float[Array, "batch channel"] | Float[Array, "batch time"]:
    """Returns the maximum over an axis, its gradient going to the first place of it.

    As PyTorch. The gradient of `jnp.max` is divided by the number of places that equal
    the maximum: none, and so NaN, where XLA computes the two sides in different fusions
    and rounds them differently.
    """
    first = jnp.argmax(jax.lax.stop_gradient(signal), axis, keepdims=True)
    places = jax.lax.broadcasted_iota(first.dtype, signal.shape, axis % signal.ndim)
    return jnp.sum(jnp.where(places == first, signal, 0), axis)
