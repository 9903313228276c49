"""PTB-XL, label set form: 19 labels, the form statements."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "ptbxl_form"
    config.data.shards = "shards/ptbxl"
    config.data.label_set = "form"
    return config
