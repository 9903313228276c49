"""CPSC2018: sweep over the floats of the recipe, in one compiled program."""

from ml_collections import ConfigDict
from optuna.distributions import BaseDistribution, FloatDistribution

from mrm_jax.experiments import cpsc2018


def get_config() -> ConfigDict:
    return cpsc2018.get_config()


def get_space() -> dict[str, BaseDistribution]:
    return {
        "hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "hparams.weight_decay": FloatDistribution(1e-6, 1e-1, log=True),
        "hparams.feature_weight": FloatDistribution(1e-3, 1.0, log=True),
        "hparams.logit_weight": FloatDistribution(1e-3, 1.0, log=True),
        "hparams.temperature": FloatDistribution(1.0, 10.0),
        "hparams.dropout_rate": FloatDistribution(0.0, 0.5),
        "hparams.label_smoothing": FloatDistribution(0.0, 0.2),
    }
