"""The rows of a model card's tables, out of report.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrm_jax.reports import dataset_info

NOT_MEASURED = "not measured"
HEADS = ("mean", "high", "low")
OF_LABEL = ("auc", "sensitivity", "specificity", "ppv", "threshold")
CALIBRATION = ("ece", "brier", "nll")
# key of the report -> name, and that of the Hub's metric
METRICS = {
    "macro_auc": ("macro AUC", "roc_auc"),
    "macro_ap": ("macro average precision", "average_precision"),
    "macro_f1": ("macro F1 at 0.5", "f1"),
    "tpr": ("TPR per record at 0.5", "recall"),
    "f1": ("F1 per record at 0.5", "f1"),
    "accuracy": ("accuracy at 0.5", "accuracy"),
    "share_of_zeros": ("accuracy of predicting nothing", ""),
    "f_at_val_threshold": ("F at the threshold best on validation", "f1"),
    "fmax": ("Fmax, threshold picked on this split", ""),
    "cpsc_f1": ("CPSC2018 score", "f1"),
    "cpsc_f_af": ("CPSC2018 score, AF", ""),
    "cpsc_f_block": ("CPSC2018 score, block", ""),
    "cpsc_f_pc": ("CPSC2018 score, premature contraction", ""),
    "cpsc_f_st": ("CPSC2018 score, ST change", ""),
}


class Known(dict[str, Any]):
    """A mapping in which what is missing is None, as what is unknown is."""

    def __missing__(self, key: str) -> None:
        """Returns None."""


def of_metrics(
    of_heads: Mapping[str, Any], intervals: Mapping[str, Any]
) -> list[list[str]]:
    """Returns a name and the numbers of HEADS for each metric that there is.

    Args:
        of_heads: head -> metric -> number.
        intervals: head -> metric -> both ends; what is missing or None has none.
    """
    return [
        [
            name,
            *(
                number(of_heads[head].get(key), (intervals.get(head) or {}).get(key))
                for head in HEADS
            ),
        ]
        for key, (name, _) in METRICS.items()
        if key in of_heads["mean"]
    ]


def of_labels(report: Mapping[str, Any], head: str) -> list[dict[str, Any]]:
    """Returns each output's label: what it means and how a head finds it.

    Args:
        report: what report.json holds.
        head: whose numbers, of OF_LABEL, are taken.
    """
    names = report["facts"]["labels"]
    descriptions = report["facts"].get("descriptions") or [None] * len(names)
    entries = report.get("labels") or [{}] * len(names)
    return [
        {
            "label": name,
            "positive_records": entry.get("positive_records"),
            **dataset_info.parse(description)._asdict(),
            **_of_label(Known((entry.get("heads") or {}).get(head) or {})),
        }
        for name, description, entry in zip(names, descriptions, entries, strict=True)
    ]


def _of_label(found: Known) -> dict[str, str]:
    return {key: number(found[key], found[f"{key}_interval"]) for key in OF_LABEL}


def of_calibration(of_heads: Mapping[str, Any]) -> list[list[str]]:
    """Returns name, temperature and errors, before and after it, of each head."""
    known = [(head, Known(of_heads[head])) for head in HEADS if of_heads.get(head)]
    return [
        [
            head,
            number(found["temperature"]),
            *(
                f"{number(found[key], found[f'{key}_interval'])} → "
                f"{number(found[f'{key}_scaled'], found[f'{key}_scaled_interval'])}"
                for key in CALIBRATION
            ),
        ]
        for head, found in known
    ]


def number(value: float | None, interval: Sequence[float | None] | None = None) -> str:
    """Returns a number with three digits, and its interval where there is one."""
    if value is None:
        return NOT_MEASURED
    if interval is None or None in interval:
        return f"{value:.3f}"
    low, high = interval
    return f"{value:.3f} ({low:.3f}–{high:.3f})"
