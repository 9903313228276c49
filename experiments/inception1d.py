"""Baseline: a network of inception modules (InceptionTime)."""

from ml_collections import ConfigDict

from mrm_jax.experiments import ptbxl_superdiagnostic


def get_config() -> ConfigDict:
    config = ptbxl_superdiagnostic.get_config()
    config.name = "inception1d"
    config.model.name = "inception1d"
    config.model.options.crop_samples = 250  # 2.5 s, as published
    config.hparams.dropout_rate = 0.5  # of the head
    return config
