"""Hyperparameters: the floats of a recipe, which change without recompilation."""

import dataclasses

import flax.struct
import jax

# The hyperparameters of version 0.1.0; checkpoints and experiments may lack the others.
FIRST = (
    "learning_rate",
    "weight_decay",
    "high_weight",
    "low_weight",
    "feature_weight",
    "logit_weight",
    "temperature",
    "dropout_rate",
    "label_smoothing",
)
# Those that are read only with augmentation.
AUGMENTATION = (
    "shift",
    "crop",
    "amplitude",
    "wander",
    "noise",
    "lead_dropout",
    "mixup",
)
COMPUTED = "total_steps"  # from the configuration and the data


@flax.struct.dataclass
class HParams:
    """Hyperparameters that a sweep may vary.

    They are traced floats, so that a new value never recompiles. The defaults are the
    recipe of the authors' code.
    """

    learning_rate: jax.Array | float = 1e-3
    weight_decay: jax.Array | float = 0.0  # decoupled, as in AdamW; 0 is Adam
    high_weight: jax.Array | float = 1.0  # weight of the high branch's cross-entropy
    low_weight: jax.Array | float = 1.0  # weight of the low branch's cross-entropy
    feature_weight: jax.Array | float = 0.01  # weight of the mutual feature loss
    logit_weight: jax.Array | float = 0.1  # weight of the mutual logit loss
    temperature: jax.Array | float = 4.0  # of both mutual losses
    dropout_rate: jax.Array | float = 0.2  # in the multi-scale blocks
    label_smoothing: jax.Array | float = 0.0  # 0: unchanged; < 1, towards one half
    warmup_fraction: jax.Array | float = 0.0  # see `schedules.learning_rate`
    initial_rate: jax.Array | float = 0.0
    final_rate: jax.Array | float = 1.0  # 1 is a constant rate
    clip_norm: jax.Array | float = 0.0  # largest norm of the gradient; 0 is no limit
    positive_weight: jax.Array | float = 1.0  # see `losses.weighted_cross_entropy`
    positive_focus: jax.Array | float = 0.0
    negative_focus: jax.Array | float = 0.0
    negative_margin: jax.Array | float = 0.0
    average_decay: jax.Array | float = 0.999  # see `train_state.with_averages`
    inherited_rate: jax.Array | float = 1.0  # see `inherited.scale_updates`
    # Read only with augmentation, see `augmentation.augment`.
    shift: jax.Array | float = 0.1
    crop: jax.Array | float = 0.1
    amplitude: jax.Array | float = 0.1
    wander: jax.Array | float = 0.1
    noise: jax.Array | float = 0.05
    lead_dropout: jax.Array | float = 0.1
    mixup: jax.Array | float = 0.0
    total_steps: jax.Array | float = 1.0  # updates of the whole run, for the schedule


def later_defaults() -> dict[str, float]:
    """Returns the hyperparameters added after 0.1.0, with their defaults.

    A default is what runs did before the hyperparameter existed.
    """
    values = dataclasses.asdict(HParams())
    return {n: v for n, v in values.items() if n not in (*FIRST, COMPUTED)}
