"""Normalisation by the statistics of a batch or of each row, with its gradient.

`layers.BatchNorm` keeps the running averages. Sums over the batch are the most frequent
operation of the network, and how they are best computed depends on the backend.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import backends

EPSILON = 1e-5


class Statistics(NamedTuple):
    """What batch norm computes from a batch."""

    mean: Float[Array, " channel"]
    var: Float[Array, " channel"]  # biased
    size: Float[Array, ""]  # number of values for each channel


def normalise(
    inputs: Float[Array, "batch *time channel"],
    scale: Float[Array, " channel"],
    bias: Float[Array, " channel"],
    mask: Float[Array, " batch"],
    axis_name: str | None,
) -> tuple[Float[Array, "batch *time channel"], Statistics]:
    """Returns inputs normalised by the batch's statistics, scaled and shifted.

    The gradient is written by hand. It keeps the inputs instead of what was computed
    from them, and needs two sums of the inputs' size, in one pass. The statistics have
    no gradient of their own.

    Args:
        inputs: feature map.
        scale: factor of the normalised inputs.
        bias: added to the scaled inputs.
        mask: records that the statistics count.
        axis_name: mapped axis over which they are summed.
    """
    return _normalise(inputs, scale, bias, mask, axis_name, backends.name())


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _normalise(inputs, scale, bias, mask, axis_name, backend):
    return _normalise_forward(inputs, scale, bias, mask, axis_name, backend)[0]


@functools.partial(jax.jit, static_argnums=(4, 5))
def _normalise_forward(inputs, scale, bias, mask, axis_name, backend):
    wide = inputs.astype(scale.dtype)
    mean, var, count = _batch_statistics(wide, mask, axis_name, backend)
    inverse = jax.lax.rsqrt(var + EPSILON)
    outputs = scale_and_shift(inputs, scale * inverse, bias - mean * scale * inverse)
    kept = (inputs, scale, mask, mean, inverse, count)
    return (outputs, Statistics(mean, var, count)), kept


@functools.partial(jax.jit, static_argnums=(0, 1))
def _normalise_backward(axis_name, backend, kept, cotangents):
    """Returns the gradients of `normalise`.

    With n values, the mask m, x̂ = (x - mean) / σ and y = scale · x̂ + bias,
    ∂x = scale / σ · (∂y - m (Σ ∂y + x̂ Σ ∂y x̂) / n).
    """
    inputs, scale, mask, mean, inverse, count = kept
    wide, grads = inputs.astype(scale.dtype), cotangents[0].astype(scale.dtype)
    by_param = _gradient_sums(grads, wide, mean, inverse, backend)
    sums = by_param if axis_name is None else jax.lax.psum(by_param, axis_name)
    total, product = (expand_dims(part / count, wide) for part in sums)
    common = total + _normal(wide, mean, inverse) * product
    by_record = mask.astype(scale.dtype).reshape(-1, *[1] * (wide.ndim - 1))
    by_input = expand_dims(scale * inverse, wide) * (grads - by_record * common)
    return by_input.astype(inputs.dtype), *by_param[::-1], jnp.zeros_like(mask)


_normalise.defvjp(_normalise_forward, _normalise_backward)


def _batch_statistics(inputs, mask, axis_name, backend):
    """Returns the mean and biased variance [channel] over all devices, and n.

    They are computed in one pass from the distances to a value in the middle of the
    inputs. The mean of squares minus the squared mean would lose small variances to
    rounding.
    """
    middle = tuple(size // 2 for size in inputs.shape[1:-1])
    near = inputs[(0, *middle)]
    if axis_name is not None:
        near = jax.lax.pmean(near, axis_name)
    distance = inputs - expand_dims(near, inputs)
    masked = distance * mask.reshape(-1, *[1] * (inputs.ndim - 1))
    sums = (
        *_two_sums((masked, masked * distance), _leading_axes(inputs), backend),
        jnp.sum(mask) * inputs[0, ..., 0].size,
    )
    if axis_name is not None:
        sums = jax.lax.psum(sums, axis_name)
    total, squares, count = sums
    offset = total / count
    var = jnp.maximum(squares / count - offset**2, 0)
    return near + offset, var, count


def _normal(inputs, mean, inverse):
    """Returns (inputs - mean) · inverse, the inputs of mean 0 and variance 1."""
    return (inputs - expand_dims(mean, inputs)) * expand_dims(inverse, inputs)


def _two_sums(parts, axes, backend):
    """Returns the sums of two arrays of one shape over some axes.

    One reduction of both saves kernels on a GPU, but takes several times as long as two
    reductions on the CPU, where XLA does not vectorise it. On a TPU it takes longer,
    too, and XLA makes one pass of two reductions.
    """
    if backend == "gpu":
        return _reduce_both(parts, axes)
    return tuple(jnp.sum(part, axes) for part in parts)


def _gradient_sums(grads, inputs, mean, inverse, backend):
    """Returns Σ ∂y and Σ ∂y x̂, by channel.

    On the CPU, XLA's library sums products of stored arrays only. It takes the inputs
    in place of x̂, which would have to be stored, and x̂ is computed from the sums.
    """
    axes = _leading_axes(inputs)
    if backend != "cpu":
        parts = grads, grads * _normal(inputs, mean, inverse)
        return _two_sums(parts, axes, backend)
    total, product = _two_sums((grads, grads * inputs), axes, backend)
    return total, (product - mean * total) * inverse


def _leading_axes(inputs):
    return tuple(range(inputs.ndim - 1))


def _reduce_both(parts, axes):
    zero = jnp.zeros((), parts[0].dtype)

    def add(one, other):
        """Adds two pairs."""
        return tuple(a + b for a, b in zip(one, other, strict=True))

    return tuple(jax.lax.reduce(parts, (zero,) * len(parts), add, axes))


def normalise_rows(
    inputs: Float[Array, "*batch channel"],
    scale: Float[Array, " channel"],
    bias: Float[Array, " channel"],
    epsilon: float,
) -> Float[Array, "*batch channel"]:
    """Returns inputs normalised over their channels, scaled and shifted.

    As in `normalise`, the gradient is written by hand. It keeps the inputs with the
    mean and the standard deviation of each row.

    Args:
        inputs: feature map.
        scale: factor of the normalised inputs.
        bias: added to the scaled inputs.
        epsilon: added to the variance.

    References:
        Ba et al., 2016, arXiv 1607.06450.
    """
    return _rows(inputs, scale, bias, epsilon, backends.name())


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _rows(inputs, scale, bias, epsilon, backend):
    return _rows_forward(inputs, scale, bias, epsilon, backend)[0]


@functools.partial(jax.jit, static_argnums=(3, 4))
def _rows_forward(inputs, scale, bias, epsilon, backend):
    wide = inputs.astype(scale.dtype)
    mean, var = _row_statistics(wide, backend)
    inverse = jax.lax.rsqrt(var + epsilon)
    outputs = (wide - mean) * inverse * expand_dims(scale, wide)
    outputs = (outputs + expand_dims(bias, wide)).astype(inputs.dtype)
    return outputs, (inputs, scale, mean, inverse)


def _row_statistics(inputs, backend):
    """Returns mean and biased variance [..., 1] of each row.

    One pass saves kernels on a GPU. It takes the distances to the first channel.
    """
    if backend != "gpu":
        mean = jnp.mean(inputs, -1, keepdims=True)
        return mean, jnp.mean(jnp.square(inputs - mean), -1, keepdims=True)
    near, channels = inputs[..., :1], inputs.shape[-1]
    parts = inputs - near, jnp.square(inputs - near)
    sums = _reduce_both(parts, (inputs.ndim - 1,))
    offset, squares = (jnp.expand_dims(part, -1) / channels for part in sums)
    return near + offset, jnp.maximum(squares - jnp.square(offset), 0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _rows_backward(epsilon, backend, kept, grads):
    """Returns the gradients of `normalise_rows`.

    With C channels, x̂ = (x - mean) / σ and ∂x̂ = ∂y · scale, the gradient is
    ∂x = (∂x̂ - Σ ∂x̂ / C - x̂ Σ ∂x̂ x̂ / C) / σ.
    """
    del epsilon
    inputs, scale, mean, inverse = kept
    grads = grads.astype(scale.dtype)
    normal = (inputs.astype(scale.dtype) - mean) * inverse
    axes = _leading_axes(inputs)
    by_bias, by_scale = _two_sums((grads, grads * normal), axes, backend)
    by_normal = grads * expand_dims(scale, inputs)
    sums = _two_sums((by_normal, by_normal * normal), (inputs.ndim - 1,), backend)
    total, product = (jnp.expand_dims(part, -1) / inputs.shape[-1] for part in sums)
    by_input = inverse * (by_normal - total - normal * product)
    return by_input.astype(inputs.dtype), by_scale, by_bias


_rows.defvjp(_rows_forward, _rows_backward)


def inference_factors(scale, bias, mean, var):
    """Returns factor and shift [channel] that normalise by running averages."""
    factor = scale * jax.lax.rsqrt(var + EPSILON)
    return factor, bias - mean * factor


def scale_and_shift(inputs, factor, shift):
    """Returns inputs · factor + shift, computed in the precision of factor."""
    wide = inputs.astype(factor.dtype)
    outputs = wide * expand_dims(factor, inputs) + expand_dims(shift, inputs)
    return outputs.astype(inputs.dtype)


def expand_dims(
    values: Float[Array, " channel"], like: Float[Array, "*batch channel"]
) -> Float[Array, "*one channel"]:
    """Returns values with leading axes of length 1, as many as `like` has."""
    return values.reshape(*[1] * (like.ndim - 1), -1)
