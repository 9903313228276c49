"""Console output of a running command: lines, and a progress bar on a terminal."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import rich.console
import rich.progress

from mrm_jax.runtime import text as text_lib

PLAIN_EVERY_S = 30


def console() -> rich.console.Console:
    """Returns the console of standard output."""
    return rich.console.Console(highlight=False)


def say(text: str) -> None:
    """Prints text unchanged: without markup and without wrapping lines of a log.

    Only characters that could control the terminal are escaped.
    """
    console().print(text_lib.printable(text), markup=False, soft_wrap=True)


def tracker(description: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """Returns a function of items and their number that yields them with progress.

    On a terminal it shows a bar, which disappears at the end. Elsewhere it prints a
    line every PLAIN_EVERY_S seconds, so that short work prints no lines and long work
    shows that it continues.
    """

    def track(items: Iterable[Any], total: int) -> Iterable[Any]:
        """Yields the items and shows how many of total are done."""
        shown = console()
        if not shown.is_terminal:
            return _plain(items, total, description)
        return rich.progress.track(
            items, description, total=total, console=shown, transient=True
        )

    return track


def _plain(items: Iterable[Any], total: int, description: str) -> Iterator[Any]:
    said = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - said > PLAIN_EVERY_S:
            said = time.monotonic()
            say(f"{description}: {done} of {total}")
        yield item
