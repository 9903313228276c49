"""The outputs that every network returns.

jaxtyping does not check the fields: under `eval_shape` they are not arrays.
"""

import flax.struct
import jax


@flax.struct.dataclass
class Outputs:
    """Logits and feature maps of one batch."""

    high_logits: jax.Array  # [batch, label]
    low_logits: jax.Array  # [batch, label]
    high_features: dict[str, jax.Array]  # stage -> [batch, time, channel]
    low_features: dict[str, jax.Array]  # stage -> [batch, time / 2, 2 channel]
    mutual_pairs: tuple[tuple[jax.Array, jax.Array], ...]
