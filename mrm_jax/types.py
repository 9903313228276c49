"""The records that travel between the parts: a batch, the outputs, the knobs."""

import dataclasses

import flax.struct
import jax
import numpy as np

STAGES = ("multi_scale", "extractor", "attention")
PAIRINGS = ("channel_major", "time_aligned")
DIVERGENCES = ("softmax", "bernoulli")
COMPUTE_DTYPES = ("float32", "bfloat16")


@flax.struct.dataclass
class Batch:
    """One device's share of a batch."""

    signal: jax.Array  # [batch, time, lead], standardised, so without a unit
    labels: jax.Array  # [batch, label], 0. or 1.
    mask: jax.Array  # [batch], 1. for a record, 0. for padding


@flax.struct.dataclass
class Outputs:
    """What the network says of one batch."""

    high_logits: jax.Array  # [batch, label]
    low_logits: jax.Array  # [batch, label]
    high_features: dict[str, jax.Array]  # stage -> [batch, time, channel]
    low_features: dict[str, jax.Array]  # stage -> [batch, time / 2, 2 channel]
    mutual_pairs: tuple[tuple[jax.Array, jax.Array], ...]
    # (high, low) flat maps [batch, feature] of the stages that learn from each other


@flax.struct.dataclass
class HParams:
    """Floats that a sweep may vary: they are traced, a new value never recompiles.

    The defaults are the recipe of the authors' code.
    """

    learning_rate: jax.Array | float = 1e-3
    weight_decay: jax.Array | float = 0.0  # decoupled, as in AdamW; 0 is Adam
    high_weight: jax.Array | float = 1.0  # of the high branch's cross-entropy
    low_weight: jax.Array | float = 1.0  # of the low branch's cross-entropy
    feature_weight: jax.Array | float = 0.01  # of the features' mutual term
    logit_weight: jax.Array | float = 0.1  # of the logits' mutual term
    temperature: jax.Array | float = 4.0  # softens both mutual terms
    dropout_rate: jax.Array | float = 0.2  # in the multi-scale blocks
    label_smoothing: jax.Array | float = 0.0  # 0: labels as they are; 1: all one half


@dataclasses.dataclass(frozen=True)
class SplitScores:
    """What both branches say of every record of a split."""

    names: np.ndarray  # [record], text
    labels: np.ndarray  # [record, label], 0 or 1
    high: np.ndarray  # [record, label], scores from 0 to 1
    low: np.ndarray  # [record, label], likewise
    first_label: np.ndarray | None = None  # [record], -1 where unknown; CPSC2018 only

    def __post_init__(self) -> None:
        """Refuses arrays that do not belong together."""
        shapes = {array.shape for array in (self.labels, self.high, self.low)}
        lengths = {len(self.names), len(self.labels)}
        if len(shapes) > 1 or len(lengths) > 1:
            raise ValueError(
                "expected labels, high and low of one shape [record, label] and a name "
                f"per record, found {sorted(shapes)} and lengths {sorted(lengths)}"
            )

    @property
    def mean(self) -> np.ndarray:
        """The mean score of both branches, [record, label]."""
        return (self.high + self.low) / 2

    @property
    def heads(self) -> dict[str, np.ndarray]:
        """The scores that are reported, by name."""
        return {"high": self.high, "low": self.low, "mean": self.mean}
