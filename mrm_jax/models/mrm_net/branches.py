"""The two branches, each with an extractor, an attention stage and a head."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers
from mrm_jax.models.mrm_net import attention, blocks

STAGES = ("multi_scale", "extractor", "attention")
PAIRINGS = ("channel_major", "time_aligned")


class Branch(nn.Module):
    """The parts that both branches share; subclasses define `extractor_blocks`."""

    num_labels: int
    channels: int
    eca_conv: bool = False
    axis_name: str | None = None

    def setup(self):
        """Builds the three parts."""
        self.extractor = self.extractor_blocks()
        self.attention = attention.AttentionStage(self.eca_conv, self.axis_name)
        self.head_norm = layers.LayerNorm()
        self.head = layers.Linear(self.num_labels)

    def extractor_blocks(self) -> list[nn.Module]:
        """Returns the blocks of the extractor, in order."""
        raise NotImplementedError

    def _residual(self) -> blocks.ResidualBlock:
        return blocks.ResidualBlock(self.channels, self.axis_name)

    def extract(
        self, inputs: layers.FeatureMap, mask: layers.Mask
    ) -> layers.FeatureMap:
        """Returns the extractor's feature map, in the shape of inputs."""
        for block in self.extractor:
            inputs = block(inputs, mask)
        return inputs

    def attend(self, inputs: layers.FeatureMap, mask: layers.Mask) -> layers.FeatureMap:
        """Returns the attended feature map, in the shape of inputs."""
        return self.attention(inputs, mask)

    def classify(self, inputs: layers.FeatureMap) -> Float[Array, "batch label"]:
        """Returns the logits."""
        return self.head(self.head_norm(jnp.mean(inputs, axis=1)))


class HighResolutionBranch(Branch):
    """The branch at half of the signal's rate, with plain residual blocks."""

    def extractor_blocks(self) -> list[nn.Module]:
        """Returns three residual blocks."""
        return [self._residual() for _ in range(3)]


class LowResolutionBranch(Branch):
    """The branch at a quarter of the signal's rate: twice the channels, and gates."""

    def extractor_blocks(self) -> list[nn.Module]:
        """Returns residual blocks with ECA and SE between them."""
        parts: list[nn.Module] = [self._residual()]
        for _ in range(2):
            parts.append(blocks.ECABlock(self.eca_conv, self.axis_name))
            parts.append(blocks.SEBlock(self.axis_name))
            parts.append(self._residual())
        return parts
