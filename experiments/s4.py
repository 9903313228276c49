"""Baseline: a classifier of structured state space layers (S4)."""

from ml_collections import ConfigDict

from mrm_jax.experiments import ptbxl_superdiagnostic


def get_config() -> ConfigDict:
    config = ptbxl_superdiagnostic.get_config()
    config.name = "s4"
    config.model.name = "s4"
    config.model.options.crop_samples = 250  # 2.5 s, as published
    return config
