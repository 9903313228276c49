"""PTB-XL, label set diagnostic: 44 labels, the diagnostic statements."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "ptbxl_diagnostic"
    config.data.shards = "shards/ptbxl"
    config.data.label_set = "diagnostic"
    return config
