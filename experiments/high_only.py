"""Ablation: the high-resolution branch alone, without learning from the other one."""

from ml_collections import ConfigDict

from mrm_jax.experiments import cpsc2018


def get_config() -> ConfigDict:
    config = cpsc2018.get_config()
    config.name = "high_only"
    config.hparams.low_weight = 0.0
    config.hparams.feature_weight = 0.0
    config.hparams.logit_weight = 0.0
    config.model.mutual_stages = ()
    config.selection_head = "high"  # the other head is never trained
    return config
