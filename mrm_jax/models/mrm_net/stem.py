"""The stem, and the multi-scale blocks that begin the two resolutions."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import convolutions, layers, pooling

STEM_TAPS = (11, 7, 5, 3)
STEM_WIDTHS = (1, 2, 4, 4)  # times the width of the network
SCALES = (3, 13, 23, 33)


class Stem(nn.Module):
    """Four convolutions, each followed by a max-pool that adds one time step."""

    width: int = 16
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, signal: Float[Array, "batch time lead"], mask: layers.Mask
    ) -> Float[Array, "batch time_plus_4 channel"]:
        """Returns [batch, time + 4, 4 · width]."""
        for i, (taps, factor) in enumerate(zip(STEM_TAPS, STEM_WIDTHS, strict=True), 1):
            signal = layers.Conv(factor * self.width, taps, name=f"conv{i}")(signal)
            norm = layers.BatchNorm(self.axis_name, name=f"norm{i}")
            signal = pooling.max_pool_overlapping(nn.relu(norm(signal, mask)))
        return signal


class MultiScale(nn.Module):
    """Convolutions of four kernel lengths (path A) and a short convolution (path B)."""

    channels: int
    stride: int
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        inputs: layers.FeatureMap,
        mask: layers.Mask,
        dropout_rate: jax.Array | float,
    ) -> Float[Array, "batch time_out channel_out"]:
        """Returns [batch, time // (2 · stride), channels]."""
        path_a = convolutions.convolve(inputs, self._merged_kernel(inputs), self.stride)
        path_a = layers.BatchNorm(self.axis_name, name="norm_a")(path_a, mask)
        path_a = nn.relu(pooling.max_pool(path_a))  # half as many ReLUs as before it
        path_a = layers.Dropout(self.axis_name, name="dropout")(
            path_a, mask, dropout_rate
        )
        path_b = layers.Conv(self.channels, 3, self.stride, name="conv_b")(inputs)
        path_b = layers.BatchNorm(self.axis_name, name="norm_b")(path_b, mask)
        return path_a + nn.relu(pooling.max_pool(path_b))

    def _merged_kernel(
        self, inputs: layers.FeatureMap
    ) -> Float[Array, "33 channel out"]:
        """Returns the mean of the four kernels, the shorter ones padded with zeros.

        The mean of four convolutions of one input is one convolution with the mean of
        their kernels. It needs 33 taps instead of 72.
        """
        kernels = []
        for taps in SCALES:
            shape = (taps, inputs.shape[-1], self.channels)
            init = layers.torch_uniform(taps * inputs.shape[-1])
            kernel = self.param(f"kernel{taps}", init, shape)
            pad = (max(SCALES) - taps) // 2
            kernels.append(jnp.pad(kernel, ((pad, pad), (0, 0), (0, 0))))
        return sum(kernels[1:], start=kernels[0]) / len(SCALES)
