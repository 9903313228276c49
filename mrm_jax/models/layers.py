"""Layers with PyTorch's conventions, on feature maps [batch, time, channel].

Convolutions, linear layers, batch norm, layer norm and dropout compute what PyTorch's
layers compute, by default with the same initialisation.

Everywhere in the network, `mask` is [batch], 1. for a record and 0. for padding, during
training. `mask=None` means inference: running averages and no dropout.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import convolutions, normalisation

BATCH_NORM_DECAY = 0.9
LAYER_NORM_EPSILON = 1e-6
FOLDED = "folded"  # collection with the biases of folded batch norms

FeatureMap = convolutions.FeatureMap
Mask = Float[Array, " batch"] | None
FanInInitializer = Callable[[int], nn.initializers.Initializer]


@functools.cache  # jaxtyping, in the tests, rewrites `init` each time it is made
def torch_uniform(fan_in: int) -> nn.initializers.Initializer:
    """Returns PyTorch's default initialiser: uniform on ±1 / √fan_in."""

    def init(rng, shape, dtype=float):
        """Draws an array of a shape."""
        bound = fan_in**-0.5
        return jax.random.uniform(rng, shape, dtype, -bound, bound)

    return init


def he_normal(fan_in: int) -> nn.initializers.Initializer:
    """Returns the normal initialiser with variance 2 / fan_in, not truncated.

    References:
        He et al., 2015, arXiv 1502.01852; PyTorch's `kaiming_normal_`.
    """
    return nn.initializers.normal((2 / fan_in) ** 0.5)


def zeros(fan_in: int) -> nn.initializers.Initializer:
    """Returns the initialiser with 0, whatever the fan-in."""
    del fan_in
    return nn.initializers.zeros


class Conv(nn.Module):
    """A convolution over time without bias, as in `convolutions.convolve`.

    With `grouped`, it is `convolutions.convolve_grouped`.
    """

    channels: int
    taps: int
    stride: int = 1
    grouped: bool = False
    kernel_init: FanInInitializer = torch_uniform

    @nn.compact
    def __call__(
        self, signal: FeatureMap
    ) -> Float[Array, "batch time_out channel_out"]:
        """Returns [batch, time_out, channels]."""
        inputs = convolutions.GROUP_WIDTH if self.grouped else signal.shape[-1]
        shape = (self.taps, inputs, self.channels)
        kernel = self.param("kernel", self.kernel_init(self.taps * inputs), shape)
        if self.grouped:
            return convolutions.convolve_grouped(signal, kernel, self.stride)
        return convolutions.convolve(signal, kernel, self.stride)


class Linear(nn.Module):
    """A linear layer on the last axis, by default with PyTorch's initialisation."""

    features: int
    use_bias: bool = True
    kernel_init: FanInInitializer = torch_uniform
    bias_init: FanInInitializer = torch_uniform

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "*batch channel"]
    ) -> Float[Array, "*batch feature"]:
        """Returns inputs · kernel + bias, in the precision of inputs."""
        fan_in = inputs.shape[-1]
        init = self.kernel_init(fan_in)
        kernel = self.param("kernel", init, (fan_in, self.features))
        outputs = inputs @ kernel.astype(inputs.dtype)
        if self.use_bias:
            bias = self.param("bias", self.bias_init(fan_in), (self.features,))
            outputs = _add_bias(outputs, bias)
        return outputs


class BatchNorm(nn.Module):
    """Batch norm over all axes but the last, of the unmasked records of all devices.

    As in PyTorch, it normalises by the biased variance and updates the running average
    with the unbiased one (n / (n - 1)). A single value (n = 1), which PyTorch rejects,
    has variance 0 and leaves the running variance unchanged. Calling one instance twice
    updates its running averages twice. Statistics are computed in the precision of the
    parameters, whatever the precision of the inputs. Folded (see `folding.fold`), it
    only adds a bias.
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "batch *time channel"], mask: Mask
    ) -> Float[Array, "batch *time channel"]:
        """Returns the normalised, scaled and shifted inputs, in their precision."""
        shape = inputs.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        if mask is None and self.has_variable(FOLDED, "bias"):
            return _add_bias(inputs, self.get_variable(FOLDED, "bias"))
        if mask is None:
            factors = normalisation.inference_factors(
                scale, bias, running_mean.value, running_var.value
            )
            return normalisation.scale_and_shift(inputs, *factors)
        outputs, (mean, var, count) = normalisation.normalise(
            inputs, scale, bias, mask, self.axis_name
        )
        if not self.is_initializing():
            unbiased = var * count / jnp.maximum(count - 1, 1)
            _move(running_mean, mean)
            _move(running_var, jnp.where(count > 1, unbiased, running_var.value))
        return outputs


def _add_bias(inputs, bias):
    return inputs + normalisation.expand_dims(bias.astype(inputs.dtype), inputs)


def _move(running: nn.Variable, value: jax.Array) -> None:
    value = jax.lax.stop_gradient(value)
    running.value = BATCH_NORM_DECAY * running.value + (1 - BATCH_NORM_DECAY) * value


class LayerNorm(nn.Module):
    """Layer norm over the last axis, computed in the precision of the parameters."""

    epsilon: float = LAYER_NORM_EPSILON

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "*batch channel"]
    ) -> Float[Array, "*batch channel"]:
        """Returns the normalised, scaled and shifted inputs, in their precision."""
        shape = inputs.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        return normalisation.normalise_rows(inputs, scale, bias, self.epsilon)


class Dropout(nn.Module):
    """Dropout with a key per record, so that masks do not depend on the devices."""

    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        signal: Float[Array, "batch *time channel"],
        mask: Mask,
        rate: jax.Array | float,
    ) -> Float[Array, "batch *time channel"]:
        """Returns signal with a share `rate` set to 0, the rest divided by 1 - rate."""
        if mask is None or (isinstance(rate, float) and rate == 0):
            return signal
        keep = jax.vmap(
            lambda key: jax.random.bernoulli(key, 1 - rate, signal.shape[1:])
        )(record_keys(self, len(signal)))
        return jnp.where(keep, signal / (1 - rate), 0).astype(signal.dtype)


def record_keys(module: nn.Module, count: int) -> jax.Array:
    """Returns keys [batch], one for each record, drawn from the rng "dropout".

    Record i of the whole batch has fold_in(key, i) on any device.

    Args:
        module: the bound module that draws, whose axis_name is the devices' axis.
        count: number of records on this device.
    """
    positions, axis_name = jnp.arange(count), getattr(module, "axis_name", None)
    if axis_name is not None and not module.is_initializing():
        positions += jax.lax.axis_index(axis_name) * count
    rng = module.make_rng("dropout")
    return jax.vmap(jax.random.fold_in, (None, 0))(rng, positions)
