"""Ablation: mutual learning of features after every stage, as in the abstract."""

from ml_collections import ConfigDict

from mrm_jax.experiments import cpsc2018


def get_config() -> ConfigDict:
    config = cpsc2018.get_config()
    config.name = "mutual_every_stage"
    config.model.mutual_stages = ("multi_scale", "extractor", "attention")
    return config
