"""Baseline: a residual network of three blocks (Wang et al., 2016)."""

from ml_collections import ConfigDict

from mrm_jax.experiments import ptbxl_superdiagnostic


def get_config() -> ConfigDict:
    config = ptbxl_superdiagnostic.get_config()
    config.name = "resnet1d_wang"
    config.model.name = "resnet1d_wang"
    config.model.options.crop_samples = 250  # 2.5 s, as published
    config.hparams.dropout_rate = 0.5  # of the head
    return config
