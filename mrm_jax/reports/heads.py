"""The primary head of a report, and the heads that were not trained."""

from collections.abc import Mapping
from typing import Any

from mrm_jax.metrics import scores


def primary(facts: Mapping[str, Any]) -> str:
    """Returns the head that selected the best epoch: high, low or mean.

    Args:
        facts: metadata of report.json; without "selection" the primary head is mean.
    """
    return (facts.get("selection") or "mean").rpartition("_")[2]


def untrained(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the heads whose cross-entropy had no weight in the loss."""
    hparams = (facts.get("config") or {}).get("hparams") or {}
    return tuple(head for head in scores.BRANCHES if hparams.get(f"{head}_weight") == 0)
