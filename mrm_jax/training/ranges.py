"""The values that a configuration may have."""

from mrm_jax.training.hparams import HParams

# Smallest and largest value; beyond them, memory would not suffice for anything.
SIZES = {
    "seed": (0, 2**32 - 1),
    "batch_size": (1, 2**17),
    "num_epochs": (1, 10**6),
    "patience": (0, 10**6),
    "model.width": (4, 1024),
}
NOT_NEGATIVE = (0, float("inf"))
HPARAMS = {
    "learning_rate": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "high_weight": NOT_NEGATIVE,
    "low_weight": NOT_NEGATIVE,
    "feature_weight": NOT_NEGATIVE,
    "logit_weight": NOT_NEGATIVE,
    "temperature": (1e-6, float("inf")),
    "dropout_rate": (0, 1),
    "label_smoothing": (0, 1),
    "warmup_fraction": (0, 1),
    "initial_rate": (0, 1),
    "final_rate": NOT_NEGATIVE,
    "clip_norm": NOT_NEGATIVE,
    "positive_weight": NOT_NEGATIVE,
    "positive_focus": NOT_NEGATIVE,
    "negative_focus": NOT_NEGATIVE,
    "negative_margin": (0, 1),
    "average_decay": (0, 1),
    "inherited_rate": NOT_NEGATIVE,
    "shift": (0, 1),
    "crop": (0, 1),
    "amplitude": NOT_NEGATIVE,
    "wander": NOT_NEGATIVE,
    "noise": NOT_NEGATIVE,
    "lead_dropout": (0, 1),
    "mixup": (0, 1),
}


def check_size(name: str, found: int) -> None:
    """Checks a value of SIZES.

    Raises:
        ValueError: if it is out of range.
    """
    low, high = SIZES[name]
    if not low <= found <= high:
        raise ValueError(f"{name}: expected {low:,} to {high:,}, got {found:,}")


def check_warmup(hparams: HParams) -> None:
    """Checks that no rate was set for the start of a warm-up that there is not.

    Raises:
        ValueError: if one was.
    """
    if float(hparams.initial_rate) and not float(hparams.warmup_fraction):
        raise ValueError(
            "hparams.initial_rate has no effect unless warmup_fraction is positive. "
            "Set `--config.hparams.warmup_fraction=0.1`, or leave its default, 0."
        )


def check_hparams(hparams: HParams) -> None:
    """Checks the hyperparameters.

    Raises:
        ValueError: if one is out of range or not finite.
    """
    for name, (low, high) in HPARAMS.items():
        value = float(getattr(hparams, name))
        if not low <= value < high:
            raise ValueError(
                f"hparams.{name}: expected {low} <= value < {high}, got {value}"
            )
