"""CPSC2018: sweep over what the branches share; each combination is one program."""

from ml_collections import ConfigDict
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)

from mrm_jax.experiments import cpsc2018


def get_config() -> ConfigDict:
    config = cpsc2018.get_config()
    config.name = "cpsc2018_networks"  # names the study and the default workdir
    return config


def get_space() -> dict[str, BaseDistribution]:
    return {
        "hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "hparams.logit_weight": FloatDistribution(1e-3, 1.0, log=True),
        # "" means no stage: the branches learn only from each other's logits.
        "model.mutual_stages": CategoricalDistribution(
            ["", "attention", "extractor,attention"]
        ),
        "model.logit_divergence": CategoricalDistribution(["softmax", "bernoulli"]),
    }
