"""PTB-XL, label set all: 71 labels, every statement of the reports."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "ptbxl_all"
    config.data.shards = "shards/ptbxl"
    config.data.label_set = "all"
    return config
