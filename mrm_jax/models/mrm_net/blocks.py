"""Residual, SE and ECA blocks; all keep the number of time steps."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers


class ResidualBlock(nn.Module):
    """Two convolutions of 3 taps and a skip, which projects if channels change."""

    channels: int
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> Float[Array, "batch time channel_out"]:
        """Returns ReLU(skip(inputs) + residual(inputs)), [batch, time, channels]."""
        hidden = layers.Conv(self.channels, 3, name="conv1")(inputs)
        hidden = nn.relu(layers.BatchNorm(self.axis_name, name="norm1")(hidden, mask))
        hidden = layers.Conv(self.channels, 3, name="conv2")(hidden)
        hidden = layers.BatchNorm(self.axis_name, name="norm2")(hidden, mask)
        if inputs.shape[-1] != self.channels:
            inputs = layers.Conv(self.channels, 1, name="skip_conv")(inputs)
            inputs = layers.BatchNorm(self.axis_name, name="skip_norm")(inputs, mask)
        return nn.relu(hidden + inputs)


class SEBlock(nn.Module):
    """A grouped convolution gated by squeeze-and-excitation, and a skip.

    References:
        Hu et al., 2018, arXiv 1709.01507, with a reduction to a quarter.
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> layers.FeatureMap:
        """Returns inputs + gate · hidden, [batch, time, channel]."""
        channels = inputs.shape[-1]
        hidden = layers.Conv(channels, 3, grouped=True, name="conv")(inputs)
        hidden = nn.relu(layers.BatchNorm(self.axis_name, name="norm")(hidden, mask))
        squeezed = jnp.mean(hidden, axis=1)
        squeezed = layers.Linear(channels // 4, use_bias=False, name="squeeze")(
            squeezed
        )
        gate = layers.Linear(channels, use_bias=False, name="excite")(nn.relu(squeezed))
        return inputs + jax.nn.sigmoid(gate)[:, None] * hidden


class ECABlock(nn.Module):
    """A grouped convolution gated by the mean of each channel, and a skip.

    References:
        Wang et al., 2020, arXiv 1910.03151. Their small convolution over channels is
        declared and never called in the authors' code of MRM-Net; `eca_conv` calls it.
    """

    eca_conv: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> layers.FeatureMap:
        """Returns inputs + gate · hidden, [batch, time, channel]."""
        channels = inputs.shape[-1]
        hidden = layers.Conv(channels, 7, grouped=True, name="conv")(inputs)
        hidden = nn.relu(layers.BatchNorm(self.axis_name, name="norm")(hidden, mask))
        pooled = jnp.mean(hidden, axis=1)
        if self.eca_conv:
            over_channels = layers.Conv(1, eca_taps(channels), name="eca_conv")
            pooled = over_channels(pooled[..., None])[..., 0]
        return inputs + jax.nn.hard_sigmoid(pooled)[:, None] * hidden


def eca_taps(channels: int) -> int:
    """Returns the odd number of taps of the ECA paper's rule (gamma = 2, b = 1)."""
    taps = int(abs((math.log2(channels) + 1) / 2))
    return taps if taps % 2 else taps + 1
