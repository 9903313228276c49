"""xresnet1d101: a deep residual network of bottleneck blocks."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers
from mrm_jax.models.pooled_classifier import (
    CONV_NORM,
    ConvNorm,
    PooledClassifier,
    max_pool_centred,
)

EXPANSION = 4  # channels of a block's outputs over those inside the block


class XResNet1d101(PooledClassifier):
    """The one-dimensional XResNet-101, as configured in the PTB-XL benchmark.

    - Stem: three convolutions of 5 taps to 32, 32 and 64 channels, the first with
      stride 2, each with batch norm and ReLU; then a max-pool of width 3 and stride 2.
    - Four stages of 3, 4, 23 and 3 bottleneck blocks; see `BottleneckBlock`. The first
      block of the later stages has stride 2. Unlike in images, channels do not grow:
      all blocks have 64 channels inside and 256 outside.
    - The pooled head.

    1000 time points become 250, 125, 63 and 32 in the stages.

    He et al. start the last batch norm of a block from scale 0, so that the block
    starts as its skip. The benchmark's constructor does so too, but its training
    initialises all parameters again, with scale 1, as is done here.

    Attributes: as in `PooledClassifier`, and
        width: channels inside the blocks, a multiple of 2; the stem ends with as many.
        stage_blocks: number of blocks of each stage. (3, 4, 6, 3) is xresnet1d50.
        taps: taps of all convolutions that have more than one, an odd number.

    References:
        He et al., 2018, arXiv 1812.01187.
        Strodthoff et al., 2021, arXiv 2004.13701.
    """

    NORMALISED: ClassVar = CONV_NORM

    width: int = 64
    stage_blocks: tuple[int, ...] = (3, 4, 23, 3)
    taps: int = 5

    def __post_init__(self):
        """Checks the attributes."""
        super().__post_init__()
        self.check_sizes("stage_blocks")
        self.check_taps("taps")
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width: expected a multiple of 2, got {self.width}")

    def extract(
        self, signal: Float[Array, "batch time lead"], mask: layers.Mask
    ) -> Float[Array, "batch time_out channel"]:
        """Returns [batch, time / 32 rounded up, 4 · width] after four stages."""
        stem = XResNetStem(self.width, self.taps, self.axis_name, name="stem")
        features = stem(signal, mask)
        for stage, num_blocks in enumerate(self.stage_blocks, 1):
            for number in range(1, num_blocks + 1):
                features = BottleneckBlock(
                    self.width,
                    self.taps,
                    2 if stage > 1 and number == 1 else 1,
                    self.axis_name,
                    name=f"stage{stage}_block{number}",
                )(features, mask)
        return features


class XResNetStem(nn.Module):
    """Three convolutions with batch norm and ReLU, and a max-pool."""

    channels: int
    taps: int = 5
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, signal: Float[Array, "batch time lead"], mask: layers.Mask
    ) -> Float[Array, "batch time_out channel"]:
        """Returns [batch, time / 4 rounded up, channels]."""
        half = self.channels // 2
        for number, channels in enumerate((half, half, self.channels), 1):
            stride = 2 if number == 1 else 1
            conv = ConvNorm(
                channels, self.taps, stride, self.axis_name, name=f"conv{number}"
            )
            signal = nn.relu(conv(signal, mask))
        return max_pool_centred(signal, stride=2)


class BottleneckBlock(nn.Module):
    """Convolutions of 1, `taps` and 1 taps with batch norm, a skip, and a ReLU.

    ReLUs follow the first two convolutions. The middle one has the stride (variant B of
    He et al.). The skip averages pairs of time steps at stride 2 (variant D), then
    projects with a convolution of one tap and batch norm if the number of channels
    changes.
    """

    width: int
    taps: int = 5
    stride: int = 1
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> Float[Array, "batch time_out channel_out"]:
        """Returns ReLU(skip + residual), [batch, ⌈time / stride⌉, 4 · width]."""
        channels, axis_name = EXPANSION * self.width, self.axis_name
        conv1 = ConvNorm(self.width, 1, axis_name=axis_name, name="conv1")
        conv2 = ConvNorm(self.width, self.taps, self.stride, axis_name, name="conv2")
        conv3 = ConvNorm(channels, 1, axis_name=axis_name, name="conv3")
        hidden = nn.relu(conv2(nn.relu(conv1(inputs, mask)), mask))
        hidden = conv3(hidden, mask)
        if self.stride == 2:
            inputs = mean_pool(inputs)
        if inputs.shape[-1] != channels:
            skip = ConvNorm(channels, 1, axis_name=axis_name, name="skip")
            inputs = skip(inputs, mask)
        return nn.relu(hidden + inputs)


def mean_pool(signal: layers.FeatureMap) -> Float[Array, "batch time_out channel"]:
    """Returns the mean of every two neighbours, stride 2; keeps an odd last one."""
    if signal.shape[1] % 2:
        signal = jnp.concatenate([signal, signal[:, -1:]], axis=1)
    batch, length, channels = signal.shape
    return signal.reshape(batch, length // 2, 2, channels).mean(axis=2)
