"""Caveats on the numbers of a report, as sentences without full stops."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrm_jax.metrics import scores, significance
from mrm_jax.metrics import thresholds as thresholds_lib


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


def thresholds(facts: Mapping[str, Any]) -> str:
    """Returns a sentence on thresholds that were not chosen by label, or "".

    Args:
        facts: metadata of report.json.
    """
    source = facts.get("thresholds_are", thresholds_lib.OF_LABELS)
    if source == thresholds_lib.OF_LABELS:
        return ""
    which = "all labels share one threshold, which was chosen on validation"
    if source == thresholds_lib.NOT_CHOSEN:
        which = "no threshold was chosen on validation, so all are 0.5"
    return (
        f"{which}, and the temperature is 1; to choose them, evaluate the run on its "
        "own data first (and export it again if it is a file)"
    )


def rare_classes(
    labels: Sequence[Mapping[str, Any]], num_records: int | None
) -> list[str]:
    """Returns "positive" or "negative" for each label with too few such records.

    Args:
        labels: as in report.json; an unknown number of positive records is None.
        num_records: number of records, or None if it is unknown.
    """
    found = []
    for label in labels:
        positives = label["positive_records"]
        if positives is None:
            continue
        if positives < significance.RARE:
            found.append("positive")
        elif num_records is not None and num_records - positives < significance.RARE:
            found.append("negative")
    return found


def either(classes: Sequence[str]) -> str:
    """Returns "positive", "negative" or "positive or negative"."""
    return " or ".join(sorted(set(classes), reverse=True))


def rare_labels(report: Mapping[str, Any], head: str) -> str:
    """Returns a sentence on the labels with unreliable intervals, "" if there are none.

    Args:
        report: as in report.json.
        head: the head whose intervals are shown.
    """
    shown = [
        label
        for label in report["labels"]
        if label["heads"][head].get("auc_interval") is not None
    ]
    classes = rare_classes(shown, report.get("num_records"))
    if not classes:
        return ""
    count = len(classes)
    have, their = ("label has", "its") if count == 1 else ("labels have", "their")
    return (
        f"{count} {have} fewer than {significance.RARE} {either(classes)} records, so "
        f"{their} intervals are too narrow"
    )


def unlabelled(report: Mapping[str, Any]) -> str:
    """Returns a sentence on the records without any label, "" if there are none.

    Args:
        report: as in report.json; older ones do not count such records.
    """
    count = report.get("num_unlabelled", 0)
    if not count:
        return ""
    total = report["num_records"]
    have, their = ("has", "its") if count == 1 else ("have", "their")
    best = 1 - count / total  # recall; the precision of F skips empty predictions
    return (
        f"{count:,} of {total:,} records {have} none of the labels; {their} recall "
        f"and F1 count as 0, so a perfect model reaches {best:.3f} in recall and F1 "
        f"per record, and {2 * best / (1 + best):.3f} in F and Fmax"
    )


def p_values(intervals: Mapping[str, Any]) -> list[str]:
    """Returns a sentence on how to read the p-values of labels.

    Args:
        intervals: as in comparison.json.
    """
    notes = (intervals[name] for name in ("rare_note", "holm_note"))
    return [note for note in notes if note]
