"""What every network does with its arguments before its first layer."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import layers

Signal = Float[Array, "batch time lead"]


def prepare(
    signal: Signal,
    mask: layers.Mask,
    *,
    train: bool,
    num_samples: int,
    compute_dtype: str,
) -> tuple[Signal, layers.Mask]:
    """Returns the signal in the compute precision, and the mask for the layers.

    Args:
        signal: standardised signal, without unit.
        mask: [batch], 1. for a record, 0. for padding. None means no padding.
        train: whether the network trains. If not, the mask is None.
        num_samples: number of time points that the network takes.
        compute_dtype: "float32" keeps the precision of the signal; or "bfloat16".

    Raises:
        ValueError: if the length of signal is not num_samples.
    """
    if signal.shape[1] != num_samples:
        raise ValueError(
            f"signal: expected [batch, {num_samples}, lead], got {list(signal.shape)}"
        )
    if not train:
        mask = None
    elif mask is None:
        mask = jnp.ones(signal.shape[0], signal.dtype)
    if compute_dtype == "bfloat16":
        signal = signal.astype(jnp.bfloat16)
    return signal, mask
