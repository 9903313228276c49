"""PTB-XL, label set subdiagnostic: 23 labels, the diagnostic subclasses."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "ptbxl_subdiagnostic"
    config.data.shards = "shards/ptbxl"
    config.data.label_set = "subdiagnostic"
    return config
