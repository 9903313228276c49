"""Which head's scores a report shows first, and which heads were never trained."""

from collections.abc import Mapping, Sequence
from typing import Any

TRAINED = ("high", "low")  # each with a weight in the loss; the mean is of both


def primary(facts: Mapping[str, Any]) -> str:
    """Returns the head that picked the best epoch: high, low or mean.

    Args:
        facts: of report.json; mean where its "selection" is missing.
    """
    return (facts.get("selection") or "mean").rpartition("_")[2]


def untrained(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the heads whose cross-entropy had no weight in the loss."""
    hparams = (facts.get("config") or {}).get("hparams") or {}
    return tuple(head for head in TRAINED if hparams.get(f"{head}_weight") == 0)


def notice(heads: Sequence[str]) -> str:
    """Returns what a reader has to know of untrained heads; empty if there are none."""
    if not heads:
        return ""
    rest = [head for head in TRAINED if head not in heads]
    verb = "was" if len(heads) == 1 else "were"
    advice = f"read {rest[0]} only" if rest else "read none"
    return f"{' and '.join(heads)} {verb} not trained (weight 0): {advice}"
