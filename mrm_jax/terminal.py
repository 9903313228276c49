"""What a person sees while a command runs: lines, and a bar on a terminal."""

from collections.abc import Iterable
from typing import TypeVar

import rich.console
import rich.progress

Item = TypeVar("Item")


def console() -> rich.console.Console:
    """Returns the console of standard output."""
    return rich.console.Console(highlight=False)


def say(text: str) -> None:
    """Prints text as it is, without markup, and never folds a line of a log file."""
    console().print(text, markup=False, soft_wrap=True)


def track(items: Iterable[Item], total: int, description: str) -> Iterable[Item]:
    """Yields items under a bar that vanishes; off a terminal it shows nothing."""
    shown = console()
    return rich.progress.track(
        items,
        description,
        total=total,
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    )
