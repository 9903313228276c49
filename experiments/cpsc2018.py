"""CPSC2018: nine classes, 6,877 records, ten frozen folds."""

from ml_collections import ConfigDict

from mrm_jax.experiments import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "cpsc2018"
    config.data.shards = "shards/cpsc2018"
    config.data.label_set = "cpsc2018"
    return config
