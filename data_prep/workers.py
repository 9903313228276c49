"""Deals batches out to those who share the work; their results come in order."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import joblib
from rich import progress

PLAIN_STEPS = 10  # lines printed where there is no terminal

BATCHES_AHEAD = 8  # of each worker, done before they are used; bounds the memory

Batch = TypeVar("Batch")
Result = TypeVar("Result")


class Workers:
    """Processes of this machine; joblib starts them when there are several."""

    patience_s: float | None = (
        None  # until a batch has to be done; they cannot get lost
    )

    def __init__(self, count: int):
        """Takes how many batches are worked on at a time."""
        self.count = count

    def __str__(self) -> str:
        """Returns who they are, for the user."""
        return f"{self.count} worker{'s'[: self.count != 1]}"

    def map(
        self, function: Callable[[Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        """Yields what the function makes of each batch, in order."""
        per_round = BATCHES_AHEAD * self.count
        with joblib.Parallel(n_jobs=self.count) as parallel:
            for start in range(0, len(batches), per_round):
                part = batches[start : start + per_round]
                yield from parallel(joblib.delayed(function)(batch) for batch in part)


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
