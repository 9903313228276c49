"""PTB-XL, label set rhythm: 12 labels, the rhythm statements."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "ptbxl_rhythm"
    config.data.shards = "shards/ptbxl"
    config.data.label_set = "rhythm"
    return config
