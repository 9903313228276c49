"""Pooling over time or channels of feature maps [batch, time, channel]."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models.layers import FeatureMap


def max_pool(signal: FeatureMap) -> Float[Array, "batch time_out channel"]:
    """Returns the maximum of every two neighbours, stride 2; drops an odd last one.

    It is a maximum of two slices, whose gradient is two selects. The gradient of a
    reduce window is a scatter, which is slow on accelerators and on XLA's CPU backend.
    """
    even = signal.shape[1] // 2 * 2
    return jnp.maximum(signal[:, 0:even:2], signal[:, 1:even:2])


def max_pool_overlapping(
    signal: FeatureMap,
) -> Float[Array, "batch time_plus_1 channel"]:
    """Returns the maximum of width 2, stride 1, with one −∞ on either side."""
    inner = jnp.maximum(signal[:, :-1], signal[:, 1:])
    return jnp.concatenate([signal[:, :1], inner, signal[:, -1:]], axis=1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def maximum(
    signal: FeatureMap, axis: int
) -> Float[Array, "batch channel"] | Float[Array, "batch time"]:
    """Returns the maximum over an axis; its gradient goes to the first maximum.

    This is what PyTorch does. The gradient of `jnp.max` is divided by the number of
    elements that equal the maximum. That number is 0, and the gradient NaN, where XLA
    computes both sides in different fusions and rounds them differently.
    """
    return jnp.max(signal, axis)


def _maximum_forward(signal, axis):
    """Returns the maximum, and where it is, from one pass over the signal."""
    axis %= signal.ndim
    places = jax.lax.broadcasted_iota(jnp.int32, signal.shape, axis)

    def larger(one, other):
        """Returns the larger value and its place; of equal ones the first."""
        is_first = (one[0] > other[0]) | (one[0] != one[0])
        is_first |= (one[0] == other[0]) & (one[1] < other[1])
        return tuple(
            jnp.where(is_first, *pair) for pair in zip(one, other, strict=True)
        )

    initial = jnp.array(-jnp.inf, signal.dtype), jnp.int32(signal.shape[axis])
    value, place = jax.lax.reduce((signal, places), initial, larger, (axis,))
    return value, (jnp.expand_dims(place, axis), signal.shape[axis])


def _maximum_backward(axis, kept, grads):
    place, length = kept
    axis %= place.ndim
    shape = (*place.shape[:axis], length, *place.shape[axis + 1 :])
    is_first = jax.lax.broadcasted_iota(jnp.int32, shape, axis) == place
    return (jnp.where(is_first, jnp.expand_dims(grads, axis), 0),)


maximum.defvjp(_maximum_forward, _maximum_backward)
