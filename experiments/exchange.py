"""Ablation: the branches exchange features after the extractor."""

from ml_collections import ConfigDict

from mrm_jax.experiments import cpsc2018


def get_config() -> ConfigDict:
    config = cpsc2018.get_config()
    config.name = "exchange"
    config.model.exchange = True
    return config
