"""Baseline: a residual network of three blocks (Wang et al., 2016)."""

from ml_collections import ConfigDict

from mrm_jax.experiments import ptbxl_superdiagnostic


def get_config() -> ConfigDict:
    config = ptbxl_superdiagnostic.get_config()
    config.name = "resnet1d_wang"
    config.model.name = "resnet1d_wang"
    config.hparams.dropout_rate = 0.5  # of the head
    return config
