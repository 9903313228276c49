"""What a person sees while a command runs: lines, and a bar on a terminal."""

from collections.abc import Callable, Iterable
from typing import Any

import rich.console
import rich.progress


def console() -> rich.console.Console:
    """Returns the console of standard output."""
    return rich.console.Console(highlight=False)


def say(text: str) -> None:
    """Prints text as it is, without markup, and never folds a line of a log file."""
    console().print(text, markup=False, soft_wrap=True)


def tracker(description: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """Returns a function of items and their number that shows how far they are.

    A bar that vanishes at the end on a terminal, nothing elsewhere.
    """

    def track(items: Iterable[Any], total: int) -> Iterable[Any]:
        shown = console()
        return rich.progress.track(
            items,
            description,
            total=total,
            console=shown,
            transient=True,
            disable=not shown.is_terminal,
        )

    return track
