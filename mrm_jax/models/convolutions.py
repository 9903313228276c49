"""Convolutions over time, with PyTorch's padding, in the formulation of the backend.

Feature maps are [batch, time, channel] and kernels [tap, channel, channel_out].
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental import layout
from jaxtyping import Array, Float

from mrm_jax.models import backends

GROUP_WIDTH = 16  # channels of one group in every grouped convolution
# Channels of the dense convolutions that stand for a grouped one.
CPU_BLOCK_WIDTH, ACCELERATOR_BLOCK_WIDTH = 32, 128
LONG_KERNEL = 16  # taps from which pairs of samples pay at stride 2

FeatureMap = Float[Array, "batch time channel"]


def convolve(
    signal: FeatureMap, kernel: Float[Array, "tap channel channel_out"], stride: int = 1
) -> Float[Array, "batch time_out channel_out"]:
    """Returns the cross-correlation with k // 2 zeros on both sides, as in PyTorch.

    At stride 2 this differs from "SAME", which may pad the two sides unequally. The
    kernel is cast to the precision of the signal.
    """
    kernel, pad = kernel.astype(signal.dtype), kernel.shape[0] // 2
    if stride == 2 and kernel.shape[0] >= LONG_KERNEL:
        return _convolve_pairs(signal, kernel)
    return _correlate(signal, kernel, stride, (pad, pad))


def convolve_grouped(
    signal: FeatureMap,
    kernel: Float[Array, "tap group_channel channel"],
    stride: int = 1,
) -> Float[Array, "batch time_out channel"]:
    """Returns a grouped convolution, as dense ones with zeros between the groups.

    Groups of 16 channels are too few to fill a matrix unit, and XLA's own grouped
    convolutions are several times slower on the CPU. There, blocks of 32 channels are
    the fastest. Accelerators have cheap arithmetic, so they get fewer, larger kernels.
    docs/accelerators.md has the figures.
    """
    width = CPU_BLOCK_WIDTH if backends.on_cpu() else ACCELERATOR_BLOCK_WIDTH
    blocks = [slice(i, i + width) for i in range(0, kernel.shape[-1], width)]
    parts = [
        convolve(signal[..., block], block_diagonal(kernel[..., block]), stride)
        for block in blocks
    ]
    return jnp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def block_diagonal(
    kernel: Float[Array, "tap group_channel channel"],
) -> Float[Array, "tap channel channel"]:
    """Returns the dense kernel of a grouped convolution, zero between the groups."""
    _, inputs, outputs = kernel.shape
    group = jnp.arange(outputs) // inputs
    same_group = (group[:, None] == group[None, :]).astype(kernel.dtype)
    return jnp.tile(kernel, (1, outputs // inputs, 1)) * same_group[None]


def _correlate(signal, kernel, stride, padding):
    if backends.on_gpu():
        return _correlate_runs(signal, kernel, stride, padding)
    if signal.dtype == jnp.float64 and backends.on_cpu():
        return _product(signal, kernel, stride, padding)
    return _one_convolution(signal, kernel, stride, padding)


def _product(signal, kernel, stride, padding):
    """Returns the convolution as the product of windows of the signal and the kernel.

    Windows take as much memory as the signal for each tap, but XLA's own convolution in
    float64, with which only comparisons are made, is many times slower on the CPU.
    """
    taps, inputs, outputs = kernel.shape
    signal = jnp.pad(signal, ((0, 0), padding, (0, 0)))
    last = signal.shape[1] - taps
    windows = jnp.concatenate(
        [signal[:, tap : tap + last + 1 : stride] for tap in range(taps)], axis=-1
    )
    return windows @ kernel.reshape(taps * inputs, outputs)


def _one_convolution(signal, kernel, stride, padding, groups=1):
    return jax.lax.conv_general_dilated(
        signal,
        kernel,
        (stride,),
        [padding],
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=groups,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _correlate_runs(signal, kernel, stride, padding):
    """Returns `_one_convolution`, in a formulation that suits `jax.vmap` over runs.

    The convolution and both of its gradients become grouped ones, with the channels of
    all runs side by side. By itself, JAX makes the gradient of the kernels another
    convolution, whose kernel is as long as the signal.
    """

    def convolve_runs(signal, kernel, groups):
        """Returns the convolution of each group of channels."""
        return _one_convolution(signal, kernel, stride, padding, groups)

    return _over_runs(convolve_runs)(signal, kernel)


def _correlate_runs_forward(signal, kernel, stride, padding):
    return _correlate_runs(signal, kernel, stride, padding), (signal, kernel)


def _correlate_runs_backward(stride, padding, residuals, gradient):
    signal, kernel = residuals

    def of_signal(gradient, kernel, groups):
        """Returns the gradient of the signal of each group."""
        channels = kernel.shape[1] * groups
        like = jax.ShapeDtypeStruct((*signal.shape[:2], channels), signal.dtype)
        return jax.linear_transpose(
            lambda x: _one_convolution(x, kernel, stride, padding, groups), like
        )(gradient)[0]

    def of_kernel(gradient, signal, groups):
        """Returns the gradient of the kernel of each group."""
        shape = (*kernel.shape[:2], kernel.shape[2] * groups)
        like = jax.ShapeDtypeStruct(shape, kernel.dtype)
        return jax.linear_transpose(
            lambda x: _one_convolution(signal, x, stride, padding, groups), like
        )(gradient)[0]

    return (
        _over_runs(of_signal)(gradient, kernel),
        _over_runs(of_kernel)(gradient, signal),
    )


_correlate_runs.defvjp(_correlate_runs_forward, _correlate_runs_backward)


def _over_runs(compute: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Returns a function of two arrays, which `jax.vmap` maps in one call of `compute`.

    Args:
        compute: function of both arrays and of the number of groups into which their
            last axis is divided.
    """

    @jax.custom_batching.custom_vmap
    def call(first, second):
        """Computes a single run."""
        return compute(first, second, 1)

    @call.def_vmap
    def call_runs(num_runs, mapped, first, second):
        """Computes all runs, as groups of one."""
        if not all(mapped):
            axes = tuple(0 if is_mapped else None for is_mapped in mapped)
            return jax.vmap(functools.partial(compute, groups=1), axes)(
                first, second
            ), True
        outputs = compute(_side_by_side(first), _side_by_side(second), num_runs)
        runs = outputs.reshape(*outputs.shape[:-1], num_runs, -1)
        return _next_to_channels(jnp.moveaxis(runs, -2, 0)), True

    return call


def _side_by_side(runs):
    """Returns [run, batch, time, channel] as [batch, time, run * channel]."""
    runs = jnp.moveaxis(_next_to_channels(runs), 0, -2)
    return runs.reshape(*runs.shape[:-2], -1)


def _next_to_channels(runs):
    """Asks the compiler to store [run, batch, time, channel] with runs near channels.

    Then neither `_side_by_side` nor the way back has to copy them.
    """
    return layout.with_layout_constraint(runs, layout.Layout((1, 2, 0, 3)))


def _convolve_pairs(signal, kernel):
    """Returns `convolve` at stride 2, as stride 1 over pairs of samples.

    Two neighbouring samples become one with twice the channels, seen by half as many
    taps. The products are the same, but the gradient needs no signal dilated with
    zeros, on which half of the work would be wasted.
    """
    taps, inputs, outputs = kernel.shape
    num_pairs = -(-taps // 2)
    kernel = jnp.pad(kernel, ((0, 2 * num_pairs - taps), (0, 0), (0, 0)))
    before, length = taps // 2, signal.shape[1]
    length_out = (length + 2 * before - taps) // 2 + 1
    after = 2 * (length_out + num_pairs - 1) - length - before
    signal = jnp.pad(signal, ((0, 0), (before, after), (0, 0)))
    pairs = signal.reshape(signal.shape[0], -1, 2 * inputs)
    return _correlate(pairs, kernel.reshape(num_pairs, 2 * inputs, outputs), 1, (0, 0))
