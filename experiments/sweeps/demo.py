"""Sweep of the demo over three hyperparameters, with a narrower network: minutes."""

from ml_collections import ConfigDict
from optuna.distributions import BaseDistribution, FloatDistribution

from mrm_jax.experiments import demo


def get_config() -> ConfigDict:
    config = demo.get_config()
    config.model.width = 4  # a sixteenth of the work of the full network
    config.num_epochs = 9  # Hyperband, with a factor of 3, prunes after epochs 1 and 3
    return config


def get_space() -> dict[str, BaseDistribution]:
    return {
        "hparams.learning_rate": FloatDistribution(3e-4, 1e-2, log=True),
        "hparams.dropout_rate": FloatDistribution(0.0, 0.5),
        "hparams.logit_weight": FloatDistribution(0.01, 1.0, log=True),
    }
