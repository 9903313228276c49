"""Tuned recipe for MRM-Net or, as tuned.py:NETWORK, for a baseline.

It was chosen on the validation fold of the PTB-XL subset, see docs/results.md.
"""

from ml_collections import ConfigDict

from mrm_jax.experiments import (
    inception1d,
    ptbxl_superdiagnostic,
    resnet1d_wang,
    s4,
    xresnet1d101,
)

EXPERIMENTS = {
    "mrm_net": ptbxl_superdiagnostic,
    "resnet1d_wang": resnet1d_wang,
    "xresnet1d101": xresnet1d101,
    "inception1d": inception1d,
    "s4": s4,
}


def get_config(network: str = "mrm_net") -> ConfigDict:
    if network not in EXPERIMENTS:
        raise ValueError(f"expected one of {', '.join(EXPERIMENTS)}, got {network}")
    config = EXPERIMENTS[network].get_config()
    config.name = "tuned" if network == "mrm_net" else f"tuned_{network}"
    config.batch_size = 32
    config.average_weights = True
    config.augment = True
    config.hparams.update(
        warmup_fraction=0.1,  # then half a cosine
        final_rate=0.01,
        weight_decay=0.05,
        average_decay=0.99,
    )
    return config
