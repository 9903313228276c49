"""Baseline: a residual network of 101 layers (xresnet1d101)."""

from ml_collections import ConfigDict

from mrm_jax.experiments import ptbxl_superdiagnostic


def get_config() -> ConfigDict:
    config = ptbxl_superdiagnostic.get_config()
    config.name = "xresnet1d101"
    config.model.name = "xresnet1d101"
    config.model.options.crop_samples = 250  # 2.5 s, as published
    config.hparams.dropout_rate = 0.5  # of the head
    return config
