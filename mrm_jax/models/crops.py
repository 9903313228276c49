"""Crops: parts of a signal that a network sees in place of the whole.

In training, a network sees one crop of each record, at a random place. Otherwise it
sees crops at regular places, which overlap by half, and their logits are combined into
those of the record.

References:
    Strodthoff et al., 2021, arXiv 2004.13701.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mrm_jax.models import layers, pooling

Signal = Float[Array, "batch time lead"]
Logits = Float[Array, "batch crop label"]


class Crops(NamedTuple):
    """What the network sees, and how many crops each record has."""

    signal: jax.Array  # [batch · crop, time, lead], the crops of a record side by side
    per_record: int  # number of crops

    def by_record(
        self, logits: Float[Array, "batch_crop label"]
    ) -> Float[Array, "batch crop label"]:
        """Returns the logits of the crops of each record."""
        return logits.reshape(-1, self.per_record, logits.shape[-1])


class Crop(nn.Module):
    """Takes the crops of a batch; it has no parameters.

    Attributes:
        length: time points of a crop. 0 takes the whole signal.
        axis_name: mapped axis of the devices. The place of a crop depends on the
            position of the record in the whole batch, not on the devices.
    """

    length: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, signal: Signal, mask: layers.Mask) -> Crops:
        """Returns one random crop of each record, or all crops if the mask is None.

        Random places need the rng "dropout".
        """
        if not self.length or self.length == signal.shape[1]:
            return Crops(signal, 1)
        if mask is None:
            places = starts(signal.shape[1], self.length)
            crops = jnp.stack([signal[:, s : s + self.length] for s in places], axis=1)
            return Crops(crops.reshape(-1, *crops.shape[2:]), len(places))
        last = signal.shape[1] - self.length
        keys = layers.record_keys(self, len(signal))
        first = jax.vmap(lambda key: jax.random.randint(key, (), 0, last + 1))(keys)
        return Crops(jax.vmap(self._one)(signal, first), 1)

    def _one(
        self, signal: Float[Array, "time lead"], first: Int[Array, ""]
    ) -> Float[Array, "crop_time lead"]:
        return jax.lax.dynamic_slice_in_dim(signal, first, self.length)


def check(crop_samples: int, num_samples: int) -> None:
    """Checks the length of crops.

    Raises:
        ValueError: if it is negative, or longer than the signal.
    """
    if not 0 <= crop_samples <= num_samples:
        raise ValueError(
            f"crop_samples: expected 0 (the whole signal) to {num_samples}, the number "
            f"of time points of a signal, got {crop_samples}"
        )


def starts(num_samples: int, length: int) -> list[int]:
    """Returns the first samples of the crops, half a crop apart; the last ends last."""
    last = num_samples - length
    return [*range(0, last, max(length // 2, 1)), last]


def maximum(logits: Logits) -> Float[Array, "batch label"]:
    """Returns the largest logit of the crops, as the PTB-XL benchmark does."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    return pooling.maximum(logits, axis=1)


def mean_score(logits: Logits) -> Float[Array, "batch label"]:
    """Returns the logit of the mean of the crops' scores."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    positive = jax.nn.logsumexp(jax.nn.log_sigmoid(logits), axis=1)
    return positive - jax.nn.logsumexp(jax.nn.log_sigmoid(-logits), axis=1)
