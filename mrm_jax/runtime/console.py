"""Console output of a running command, in lines that fit a terminal."""

import functools
from collections.abc import Sequence

import rich.console

from mrm_jax.runtime import text as text_lib


@functools.cache
def console() -> rich.console.Console:
    """Returns the console of standard output.

    There is one only, since lines of another one would run into the bars of `progress`.
    """
    return rich.console.Console(highlight=False)


def say(text: str, wrap: bool = True) -> None:
    """Prints text without markup.

    Where the output is not a terminal, its lines stay as they are. On a terminal, long
    ones continue on the next line, between words so that no number is broken. Only
    characters that could control the terminal are escaped.

    Args:
        text: one line or several.
        wrap: False for a command, which is to be copied.
    """
    shown, text = console(), text_lib.printable(text)
    if wrap and shown.is_terminal:
        text = text_lib.wrap(text, shown.width)
    shown.print(text, markup=False, soft_wrap=True)


def say_facts(title: str, facts: Sequence[str]) -> None:
    """Prints a line with facts; on a terminal a long one continues between two facts.

    Args:
        title: what the facts are about.
        facts: each a few words that belong together.
    """
    shown = console()
    width = shown.width if shown.is_terminal else None
    say(facts_line(title, facts, width), wrap=False)


def facts_line(title: str, facts: Sequence[str], width: int | None = None) -> str:
    """Returns "title: fact, fact", with line ends between facts to fit a width.

    Args:
        title: what the facts are about.
        facts: each a few words that belong together.
        width: number of characters in a line. None: a single line.
    """
    lines = [f"{title}:"]
    for number, fact in enumerate(facts, start=1):
        piece = f" {fact}" if number == len(facts) else f" {fact},"
        if width is not None and len(lines[-1] + piece) > width:
            lines.append(f"{text_lib.INDENT}{piece.strip()}")
        else:
            lines[-1] += piece
    return "\n".join(lines)
