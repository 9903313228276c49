"""Shows how far a long job is: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich import progress

PLAIN_STEPS = 10  # lines printed where there is no terminal


@contextlib.contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told how many more are done."""
    if sys.stdout.isatty():
        with progress.Progress() as shown:
            task = shown.add_task(what, total=total)
            yield lambda count: shown.advance(task, count)
    else:
        yield _plain(what, total)


def _plain(what: str, total: int) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        """Counts, and prints a line where a step of the whole is passed."""
        nonlocal done
        before, done = done, done + count
        if done * PLAIN_STEPS // total > before * PLAIN_STEPS // total:
            print(f"{what}: {done:,} of {total:,}", flush=True)

    return advance
