"""Demo with synthetic records, half the width and few epochs: minutes on a laptop."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "demo"
    config.data.shards = "shards/synthetic"
    config.data.label_set = "cpsc2018"
    config.model.width = 8  # a quarter of the work of the full network
    config.batch_size = 32  # gives more updates in few epochs
    config.num_epochs = 12
    return config
