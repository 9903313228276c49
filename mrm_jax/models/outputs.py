"""What every network returns.

Not checked by jaxtyping: under `eval_shape` the fields are no arrays.
"""

import flax.struct
import jax


@flax.struct.dataclass
class Outputs:
    """What the network says of one batch."""

    high_logits: jax.Array  # [batch, label]
    low_logits: jax.Array  # [batch, label]
    high_features: dict[str, jax.Array]  # stage -> [batch, time, channel]
    low_features: dict[str, jax.Array]  # stage -> [batch, time / 2, 2 channel]
    mutual_pairs: tuple[tuple[jax.Array, jax.Array], ...]
