"""resnet1d_wang: a shallow residual network for time series."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from mrm_jax.models import layers
from mrm_jax.models.pooled_classifier import CONV_NORM, ConvNorm, PooledClassifier

STRIDES = (1, 2, 2)


class ResNet1dWang(PooledClassifier):
    """The residual network of Wang et al., as configured in the PTB-XL benchmark.

    - Stem: a convolution of 7 taps, batch norm, ReLU; no pooling.
    - Three residual blocks with strides 1, 2 and 2 and a constant number of channels;
      see `BasicBlock`.
    - The pooled head.

    Wang et al. have three convolutions per block, of 8, 5 and 3 taps, no strides, 64
    channels in the first block and 128 in the others, and average pooling before one
    linear layer. The defaults here are the benchmark's.

    Attributes: as in `PooledClassifier`, and
        width: channels of all feature maps.
        stem_taps: taps of the first convolution, an odd number.
        block_taps: taps of the two convolutions of every block, odd numbers.

    References:
        Wang et al., 2016, arXiv 1611.06455.
        Strodthoff et al., 2021, arXiv 2004.13701.
    """

    NORMALISED: ClassVar = CONV_NORM

    width: int = 128
    stem_taps: int = 7
    block_taps: tuple[int, int] = (5, 3)

    def __post_init__(self):
        """Checks the attributes."""
        super().__post_init__()
        self.check_sizes("width")
        self.check_taps("stem_taps", "block_taps")

    def extract(
        self, signal: Float[Array, "batch time lead"], mask: layers.Mask
    ) -> Float[Array, "batch time_out channel"]:
        """Returns [batch, ⌈time / 4⌉, width]."""
        stem = ConvNorm(
            self.width, self.stem_taps, axis_name=self.axis_name, name="stem"
        )
        features = nn.relu(stem(signal, mask))
        for number, stride in enumerate(STRIDES, 1):
            features = BasicBlock(
                self.width,
                self.block_taps,
                stride,
                self.axis_name,
                name=f"block{number}",
            )(features, mask)
        return features


class BasicBlock(nn.Module):
    """Two convolutions with batch norm and a skip, all followed by a ReLU.

    The first convolution has the stride. If the stride or the number of channels
    changes the shape, the skip is a convolution of one tap with batch norm.
    """

    channels: int
    taps: tuple[int, int]
    stride: int = 1
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> Float[Array, "batch time_out channel_out"]:
        """Returns ReLU(skip + residual), [batch, ⌈time / stride⌉, channels]."""
        first, second = self.taps
        hidden = nn.relu(self._conv(first, self.stride, "conv1")(inputs, mask))
        hidden = self._conv(second, 1, "conv2")(hidden, mask)
        if self.stride != 1 or inputs.shape[-1] != self.channels:
            inputs = self._conv(1, self.stride, "skip")(inputs, mask)
        return nn.relu(hidden + inputs)

    def _conv(self, taps, stride, name):
        return ConvNorm(self.channels, taps, stride, self.axis_name, name=name)
