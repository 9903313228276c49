"""Ablation: both branches train only on their own cross-entropy losses."""

from ml_collections import ConfigDict

from mrm_jax.experiments import cpsc2018


def get_config() -> ConfigDict:
    config = cpsc2018.get_config()
    config.name = "no_mutual_loss"
    config.hparams.feature_weight = 0.0
    config.hparams.logit_weight = 0.0
    config.model.mutual_stages = ()
    return config
