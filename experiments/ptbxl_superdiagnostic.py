"""PTB-XL, label set superdiagnostic: 5 labels, NORM, MI, STTC, CD and HYP."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "ptbxl_superdiagnostic"
    config.data.shards = "shards/ptbxl"
    config.data.label_set = "superdiagnostic"
    return config
