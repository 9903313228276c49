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
    return larger(signal[:, 0:even:2], signal[:, 1:even:2])


@jax.custom_vjp
def max_pool_overlapping(
    signal: FeatureMap,
) -> Float[Array, "batch time_plus_1 channel"]:
    """Returns the maximum of width 2, stride 1, with one −∞ on either side.

    Its gradient compares the signal again, and goes to the first of equal values.
    """
    padded = _with_infinities(signal, 1, 1)
    return jnp.maximum(padded[:, :-1], padded[:, 1:])


def _overlapping_forward(signal):
    return max_pool_overlapping(signal), signal


def _overlapping_backward(signal, grads):
    """Returns the gradient: each value was compared with its two neighbours."""
    before = _with_infinities(signal[:, :-1], 1, 0)
    after = _with_infinities(signal[:, 1:], 0, 1)
    of_first = jnp.where(signal > before, grads[:, :-1], 0)
    return (of_first + jnp.where(signal >= after, grads[:, 1:], 0),)


def _with_infinities(signal, before, after):
    pad = (0, 0), (before, after), (0, 0)
    return jnp.pad(signal, pad, constant_values=-jnp.inf)


max_pool_overlapping.defvjp(_overlapping_forward, _overlapping_backward)


@jax.custom_vjp
def larger(one: FeatureMap, other: FeatureMap) -> FeatureMap:
    """Returns the elementwise maximum; of equal values the first gets the gradient.

    This is what PyTorch's max-pool does. The gradient keeps one bit of information for
    each value. That of `jnp.maximum` keeps two numbers, as it is divided between equal
    values.
    """
    return jnp.maximum(one, other)


def _larger_forward(one, other):
    return jnp.maximum(one, other), one >= other


def _larger_backward(is_first, grads):
    return jnp.where(is_first, grads, 0), jnp.where(is_first, 0, grads)


larger.defvjp(_larger_forward, _larger_backward)


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
