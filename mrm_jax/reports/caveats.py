"""Caveats on the numbers of a report, as sentences without full stops."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrm_jax.metrics import scores, significance


def untrained(heads: Sequence[str]) -> str:
    """Returns a sentence on the heads that were not trained, "" if all were.

    Args:
        heads: from `heads.untrained`.
    """
    if not heads:
        return ""
    trained = [head for head in scores.BRANCHES if head not in heads]
    if not trained:
        return "neither head was trained (weight 0 in the loss): ignore all scores"
    return (
        f"the {heads[0]} head was not trained (weight 0 in the loss): read only the "
        f"{trained[0]} head"
    )


def rare_labels(labels: Sequence[Mapping[str, Any]], head: str) -> str:
    """Returns a sentence on the labels with unreliable intervals, "" if there are none.

    Args:
        labels: as in report.json.
        head: the head whose intervals are shown.
    """
    count = sum(
        label["positive_records"] < significance.RARE
        and label["heads"][head].get("auc_interval") is not None
        for label in labels
    )
    if not count:
        return ""
    have, their = ("label has", "its") if count == 1 else ("labels have", "their")
    return (
        f"{count} {have} fewer than {significance.RARE} positive records, so {their} "
        "intervals are too narrow"
    )


def p_values(intervals: Mapping[str, Any]) -> list[str]:
    """Returns a sentence on how to read the p-values of labels.

    Args:
        intervals: as in comparison.json.
    """
    notes = (intervals[name] for name in ("rare_note", "holm_note"))
    return [note for note in notes if note]
