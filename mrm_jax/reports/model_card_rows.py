"""The rows of the model card's tables, taken from report.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrm_jax.metrics import names
from mrm_jax.metrics import scores as scores_lib
from mrm_jax.reports import dataset_info

NOT_MEASURED = "not measured"
LABEL_COLUMNS = ("auc", "sensitivity", "specificity", "ppv", "threshold")


class Known(dict[str, Any]):
    """A mapping that returns None for missing entries."""

    def __missing__(self, key: str) -> None:
        """Returns None."""


def heads_of(of_heads: Mapping[str, Any]) -> list[str]:
    """Returns the heads of a report that there are, the mean first."""
    return [head for head in scores_lib.MEAN_FIRST if head in of_heads]


def of_metrics(
    of_heads: Mapping[str, Any], intervals: Mapping[str, Any]
) -> list[list[str]]:
    """Returns the title and the numbers of all heads for each metric of the report.

    Args:
        of_heads: head -> metric -> number.
        intervals: head -> metric -> both ends; missing or None where there is none.
    """
    return [
        [
            title,
            *(
                number(of_heads[head].get(key), (intervals.get(head) or {}).get(key))
                for head in heads_of(of_heads)
            ),
        ]
        for key, title in names.of_split(of_heads["mean"]).items()
    ]


def of_labels(report: Mapping[str, Any], head: str) -> list[dict[str, Any]]:
    """Returns each label's meaning and the numbers of one head.

    Args:
        report: content of report.json.
        head: the head whose numbers of LABEL_COLUMNS are returned.
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
    return {key: number(found[key], found[f"{key}_interval"]) for key in LABEL_COLUMNS}


def of_calibration(of_heads: Mapping[str, Any]) -> list[list[str]]:
    """Returns each head's name, temperature and errors before and after scaling."""
    known = [
        (head, Known(of_heads[head])) for head in heads_of(of_heads) if of_heads[head]
    ]
    return [
        [
            head,
            number(found["temperature"]),
            *(
                f"{number(found[key], found[f'{key}_interval'])} → "
                f"{number(found[f'{key}_scaled'], found[f'{key}_scaled_interval'])}"
                for key in names.CALIBRATION
            ),
        ]
        for head, found in known
    ]


def number(value: float | None, interval: Sequence[float | None] | None = None) -> str:
    """Returns a number with three decimals, and its interval where there is one."""
    if value is None:
        return NOT_MEASURED
    if interval is None or None in interval:
        return f"{value:.3f}"
    low, high = interval
    return f"{value:.3f} ({low:.3f}–{high:.3f})"
