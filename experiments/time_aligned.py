"""Ablation: features are compared at the same time step, logits label by label."""

from ml_collections import ConfigDict

from mrm_jax.experiments import cpsc2018


def get_config() -> ConfigDict:
    config = cpsc2018.get_config()
    config.name = "time_aligned"
    config.model.feature_pairing = "time_aligned"
    config.model.logit_divergence = "bernoulli"
    return config
