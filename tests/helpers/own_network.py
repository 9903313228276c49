"""A network as a user would add it, in a file of its own: one branch, one output."""

import flax.linen as nn
import jax.numpy as jnp

from mrm_jax.models import layers
from mrm_jax.models.outputs import SingleOutput


class OwnNetwork(nn.Module):
    """One convolution and the moments of its feature map."""

    num_labels: int
    num_samples: int
    channels: int = 4
    taps: tuple[int, ...] = (3,)
    axis_name: str | None = None

    @nn.compact
    def __call__(self, signal, *, train, mask=None, dropout_rate=0.2):
        """Returns the logits."""
        if not train:
            mask = None
        elif mask is None:
            mask = jnp.ones(signal.shape[0], signal.dtype)
        for taps in self.taps:
            signal = layers.Conv(self.channels, taps)(signal)
            signal = nn.relu(layers.BatchNorm(self.axis_name)(signal, mask))
        signal = layers.Dropout(self.axis_name)(signal, mask, dropout_rate)
        moments = jnp.concatenate([signal.mean(1), (signal**2).mean(1)], axis=-1)
        return SingleOutput(layers.Linear(self.num_labels)(moments))
