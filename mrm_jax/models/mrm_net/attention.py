"""The attention stage: channel attention and temporal attention, fused."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers, pooling
from mrm_jax.models.mrm_net import blocks


class ChannelGate(nn.Module):
    """sigmoid(m(max over time) + m(mean over time)), m linear and batch-normalised.

    m is one function called twice, first on the maximum. During training, each call is
    normalised by its own statistics, and the running averages are updated twice.
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> Float[Array, "batch channel"]:
        """Returns a factor in (0, 1) for every channel."""
        channels = inputs.shape[-1]
        reduce = layers.Linear(channels // 8, use_bias=False, name="reduce")
        expand = layers.Linear(channels, use_bias=False, name="expand")
        norm = layers.BatchNorm(self.axis_name, name="norm")
        pooled = jnp.stack([pooling.maximum(inputs, axis=1), jnp.mean(inputs, axis=1)])
        of_max, of_mean = expand(reduce(pooled))
        return jax.nn.sigmoid(norm(of_max, mask) + norm(of_mean, mask))


class TimeGate(nn.Module):
    """sigmoid(batch norm(conv 7 of the maximum and the mean over channels))."""

    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> Float[Array, "batch time"]:
        """Returns a factor in (0, 1) for every time step."""
        rows = [pooling.maximum(inputs, axis=-1), jnp.mean(inputs, axis=-1)]
        gate = layers.Conv(1, 7, name="conv")(jnp.stack(rows, axis=-1))
        gate = layers.BatchNorm(self.axis_name, name="norm")(gate, mask)
        return jax.nn.sigmoid(gate[..., 0])


class AttentionStage(nn.Module):
    """Both gates on one feature map, concatenated, normalised and projected back."""

    eca_conv: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> layers.FeatureMap:
        """Returns the attended feature map, [batch, time, channel]."""
        channel_gate = ChannelGate(self.axis_name, name="channel_gate")(inputs, mask)
        time_gate = TimeGate(self.axis_name, name="time_gate")(inputs, mask)
        gated = [channel_gate[:, None] * inputs, time_gate[..., None] * inputs]
        hidden = layers.LayerNorm(name="norm")(jnp.concatenate(gated, axis=-1))
        channels, axis_name = inputs.shape[-1], self.axis_name
        for block in (
            blocks.ResidualBlock(channels, axis_name, name="residual1"),
            blocks.ECABlock(self.eca_conv, axis_name, name="eca"),
            blocks.SEBlock(axis_name, name="se"),
            blocks.ResidualBlock(channels, axis_name, name="residual2"),
        ):
            hidden = block(hidden, mask)
        return hidden
