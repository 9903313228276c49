"""The primary head of a report, the weights of the loss, and untrained heads."""

from collections.abc import Mapping
from typing import Any

from mrm_jax.metrics import scores
from mrm_jax.models import networks


def primary(facts: Mapping[str, Any]) -> str:
    """Returns the head that selected the best epoch: high, low or mean.

    Args:
        facts: metadata of report.json; without "selection" the primary head is mean.
    """
    return (facts.get("selection") or "mean").rpartition("_")[2]


def loss_weights(facts: Mapping[str, Any]) -> Mapping[str, float]:
    """Returns the weights of the loss's terms, such as "high_weight".

    They are in the hyperparameters of the configuration; {} if these are unknown.
    """
    hparams = (facts.get("config") or {}).get("hparams") or {}
    return {name: value for name, value in hparams.items() if name.endswith("_weight")}


def untrained(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the heads of MRM-Net whose cross-entropy had no weight in the loss."""
    model = (facts.get("config") or {}).get("model") or {}
    if model.get("name", networks.MRM_NET) != networks.MRM_NET:
        return ()
    weights = loss_weights(facts)
    return tuple(head for head in scores.BRANCHES if weights.get(f"{head}_weight") == 0)
