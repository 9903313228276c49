"""Formatting of Markdown tables of measurements."""

from collections.abc import Iterable, Mapping
from typing import Any


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a Markdown table with one line per row."""
    head = list(columns)
    lines = ["|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([f"| {' | '.join(head)} |", *lines])


def device(machine: Mapping[str, Any]) -> str:
    """Returns a description of the device of an entry written by `harness.save`."""
    if machine["device"] != "cpu":
        return machine["device"]
    return f"{machine['processor']}, {machine['cores']} cores"


def duration(seconds: float) -> str:
    """Formats a duration in a suitable unit."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"
