"""inception1d: convolutions of several lengths side by side."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers
from mrm_jax.models.pooled_classifier import (
    ConvNorm,
    PooledClassifier,
    max_pool_centred,
    pointwise,
)

BLOCKS_PER_SKIP = 3


class Inception1d(PooledClassifier):
    """InceptionTime's network, as configured in the PTB-XL benchmark.

    - Six blocks of convolutions of 39, 19 and 9 taps side by side; see
      `InceptionBlock`. All keep the number of time points.
    - After every third block, a skip from the input of the first of the three: a
      convolution of one tap with batch norm, a sum, and a ReLU.
    - The pooled head.

    Fawaz et al. average an ensemble of five such networks with an even number of taps
    (40, 20 and 10) and average pooling before one linear layer.

    Attributes: as in `PooledClassifier`, and
        branch_width: channels of each of the branches of a block.
        bottleneck_width: channels that the long convolutions see.
        taps: taps of the long convolutions, different odd numbers.
        num_blocks: number of blocks, a multiple of 3.

    References:
        Fawaz et al., 2019, arXiv 1909.04939.
        Strodthoff et al., 2021, arXiv 2004.13701.
    """

    branch_width: int = 32
    bottleneck_width: int = 32
    taps: tuple[int, ...] = (39, 19, 9)
    num_blocks: int = 6

    def __post_init__(self):
        """Checks the attributes."""
        super().__post_init__()
        self.check_sizes("branch_width", "bottleneck_width")
        self.check_taps("taps")
        if len(set(self.taps)) < len(self.taps):
            raise ValueError(f"taps: expected different numbers, got {self.taps}")
        if self.num_blocks < 1 or self.num_blocks % BLOCKS_PER_SKIP:
            raise ValueError(
                f"num_blocks: expected a multiple of {BLOCKS_PER_SKIP}, "
                f"got {self.num_blocks}"
            )

    def extract(
        self, signal: Float[Array, "batch time lead"], mask: layers.Mask
    ) -> Float[Array, "batch time channel"]:
        """Returns [batch, time, branches · branch_width]."""
        features = skipped = signal
        for number in range(1, self.num_blocks + 1):
            block = InceptionBlock(
                self.branch_width,
                self.bottleneck_width,
                self.taps,
                self.axis_name,
                name=f"block{number}",
            )
            features = block(features, mask)
            if number % BLOCKS_PER_SKIP == 0:
                skip = ConvNorm(
                    features.shape[-1],
                    1,
                    axis_name=self.axis_name,
                    name=f"skip{number // BLOCKS_PER_SKIP}",
                )
                features = skipped = nn.relu(features + skip(skipped, mask))
        return features


class InceptionBlock(nn.Module):
    """Convolutions of several lengths and a max-pool side by side.

    The long convolutions see the inputs through a bottleneck, a convolution of one tap.
    The last branch is a max-pool of width 3, then a convolution of one tap. Batch norm
    and ReLU follow the concatenation of the branches.

    Attributes: as in `Inception1d`.
    """

    width: int
    bottleneck_width: int
    taps: tuple[int, ...]
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> Float[Array, "batch time channel_out"]:
        """Returns [batch, time, (number of taps + 1) · width]."""
        bottleneck = pointwise(self.bottleneck_width, "bottleneck")(inputs)
        branches = [
            layers.Conv(
                self.width, taps, kernel_init=layers.he_normal, name=f"conv{taps}"
            )(bottleneck)
            for taps in self.taps
        ]
        pooled = max_pool_centred(inputs)
        branches.append(pointwise(self.width, "pool_conv")(pooled))
        hidden = jnp.concatenate(branches, axis=-1)
        return nn.relu(layers.BatchNorm(self.axis_name, name="norm")(hidden, mask))
