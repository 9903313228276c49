"""The outputs that networks return, for one batch.

jaxtyping does not check the fields: under `eval_shape` they are not arrays.
"""

import flax.struct
import jax


@flax.struct.dataclass
class Outputs:
    """Logits and feature maps of the two branches of MRM-Net."""

    high_logits: jax.Array  # [batch, label]
    low_logits: jax.Array  # [batch, label]
    high_features: dict[str, jax.Array]  # stage -> [batch, time, channel]
    low_features: dict[str, jax.Array]  # stage -> [batch, time / 2, 2 channel]
    mutual_pairs: tuple[tuple[jax.Array, jax.Array], ...]

    @property
    def by_branch(self) -> dict[str, jax.Array]:
        """The logits [batch, label] of each branch."""
        return {"high": self.high_logits, "low": self.low_logits}


@flax.struct.dataclass
class SingleOutput:
    """Logits of a network with one branch."""

    logits: jax.Array  # [batch, label]

    @property
    def by_branch(self) -> dict[str, jax.Array]:
        """The logits [batch, label] of the only branch."""
        return {"single": self.logits}
