"""What the branches give each other: paired features, and features themselves."""

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
    """Returns both maps flattened so that equal places are compared.

    Args:
        high: the high branch's map.
        low: the low branch's map; as many numbers a record as high.
        pairing: "channel_major" flattens channel by channel, as the authors' code:
            equal places belong to different moments. "time_aligned" flattens step by
            step: low step t meets high steps 2t and 2t + 1, the same moment.

    Raises:
        ValueError: if there is no such pairing.
    """
    check_choice("feature_pairing", pairing, branches.PAIRINGS)
    if pairing == "channel_major":
        high, low = high.swapaxes(1, 2), low.swapaxes(1, 2)
    return high.reshape(high.shape[0], -1), low.reshape(low.shape[0], -1)


class Exchange(nn.Module):
    """Gives each branch the other's features, brought to its own resolution."""

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
    """Returns the time steps of the high and of the low branch."""
    after_stem = num_samples + 4
    return after_stem // 2, -(-after_stem // 2) // 2


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuses a value that is none of the choices.

    Raises:
        ValueError: naming the option, its choices and the value.
    """
    if value not in choices:
        raise ValueError(f"{name}: expected one of {choices}, got {value!r}")


def check_length(num_samples: int, reason: str) -> None:
    """Refuses a length at which the two maps differ in size.

    Raises:
        ValueError: if the high map is not exactly twice as long as the low one.
    """
    high, low = branch_lengths(num_samples)
    if high == 2 * low:
        return
    below = num_samples - num_samples % 4
    raise ValueError(
        f"num_samples: {num_samples} gives maps of {high} and {low} time steps, but "
        f"{reason} needs the first to be twice the second. Multiples of 4 work, and "
        f"multiples of 4 plus 1; near yours: {below}, {below + 1}, {below + 4}"
    )


def check_stages(stages: Sequence[str]) -> None:
    """Refuses names of stages that do not exist.

    Raises:
        ValueError: if a stage is unknown or named twice.
    """
    unknown = [stage for stage in stages if stage not in branches.STAGES]
    if unknown or len(set(stages)) != len(stages):
        raise ValueError(
            f"mutual_stages: expected distinct names out of {branches.STAGES}, "
            f"got {tuple(stages)}"
        )
