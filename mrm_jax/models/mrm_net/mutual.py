"""Mutual learning between the branches: paired features, and their exchange."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers
from mrm_jax.models.mrm_net import branches

HighFeatureMap = Float[Array, "batch time channel"]
LowFeatureMap = Float[Array, "batch half_time twice_channel"]
Flat = Float[Array, "batch feature"]


def flatten_pair(
    high: HighFeatureMap, low: LowFeatureMap, pairing: str
) -> tuple[Flat, Flat]:
    """Returns both feature maps flattened, so that equal positions are compared.

    Args:
        high: feature map of the high branch.
        low: feature map of the low branch, with as many numbers per record as high.
        pairing: "channel_major" flattens channel by channel, as the authors' code does;
            equal positions then belong to different times. "time_aligned" flattens time
            step by time step; step t of low then meets steps 2t and 2t + 1 of high,
            which cover the same time.

    Raises:
        ValueError: if the pairing is unknown.
    """
    check_choice("feature_pairing", pairing, branches.PAIRINGS)
    if pairing == "channel_major":
        high, low = high.swapaxes(1, 2), low.swapaxes(1, 2)
    return high.reshape(high.shape[0], -1), low.reshape(low.shape[0], -1)


class Exchange(nn.Module):
    """Adds to each branch the other's features, resampled to its own resolution."""

    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, high: HighFeatureMap, low: LowFeatureMap, mask: layers.Mask
    ) -> tuple[HighFeatureMap, LowFeatureMap]:
        """Returns high + up(low) and low + down(high)."""
        up = layers.Conv(high.shape[-1], 3, name="up_conv")(low)
        up = layers.BatchNorm(self.axis_name, name="up_norm")(up, mask)
        down = layers.Conv(low.shape[-1], 3, stride=2, name="down_conv")(high)
        down = layers.BatchNorm(self.axis_name, name="down_norm")(down, mask)
        return high + jnp.repeat(up, 2, axis=1), low + nn.relu(down)


def branch_lengths(num_samples: int) -> tuple[int, int]:
    """Returns the numbers of time steps of the high and the low branch."""
    after_stem = num_samples + 4
    return after_stem // 2, -(-after_stem // 2) // 2


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Checks that a value is one of the choices.

    Raises:
        ValueError: if it is not; names the option, its choices and the value.
    """
    if value not in choices:
        raise ValueError(f"{name}: expected one of {choices}, got {value!r}")


def check_length(num_samples: int, reason: str) -> None:
    """Checks that both feature maps have the same size at this length.

    Raises:
        ValueError: if the high feature map is not exactly twice as long as the low one.
    """
    high, low = branch_lengths(num_samples)
    if high == 2 * low:
        return
    below = num_samples - num_samples % 4
    raise ValueError(
        f"num_samples: {num_samples} gives feature maps of {high} and {low} time steps,"
        f" but {reason} needs the first to be twice the second. Choose a multiple of 4 "
        f"or a multiple of 4 plus 1, for example {below}, {below + 1}, {below + 4}"
    )


def check_stages(stages: Sequence[str]) -> None:
    """Checks that stages exist and are distinct.

    Raises:
        ValueError: if a stage is unknown or named twice.
    """
    unknown = [stage for stage in stages if stage not in branches.STAGES]
    if unknown or len(set(stages)) != len(stages):
        raise ValueError(
            f"mutual_stages: expected distinct names out of {branches.STAGES}, "
            f"got {tuple(stages)}"
        )
