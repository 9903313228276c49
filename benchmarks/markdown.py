"""What the Markdown tables of the measurements share: cells and lines."""

from collections.abc import Iterable, Mapping
from typing import Any


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a table with a line for each row."""
    head = list(columns)
    lines = ["|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([f"| {' | '.join(head)} |", *lines])


def device(machine: Mapping[str, Any]) -> str:
    """Returns the device of an entry that `harness.save` wrote, in words."""
    if machine["device"] != "cpu":
        return machine["device"]
    return f"{machine['processor']}, {machine['cores']} cores"


def duration(seconds: float) -> str:
    """Returns a time in the unit that suits it."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"
