"""A pool of local processes with results in order, and a progress bar."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import joblib

from mrm_jax.runtime import progress

BATCHES_AHEAD = 8  # for each worker, computed before they are used; bounds the memory

Batch = TypeVar("Batch")
Result = TypeVar("Result")


class Workers:
    """Processes of this machine, started by joblib if there are several."""

    def __init__(self, count: int):
        """Creates a pool that works on `count` batches at a time."""
        self.count = count

    def __str__(self) -> str:
        """Returns a description for the user."""
        return f"{self.count} worker{'s'[: self.count != 1]}"

    def map(
        self, function: Callable[[Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        """Yields the function's result for each batch, in order."""
        per_round = BATCHES_AHEAD * self.count
        with joblib.Parallel(n_jobs=self.count) as parallel:
            for start in range(0, len(batches), per_round):
                part = batches[start : start + per_round]
                yield from parallel(joblib.delayed(function)(batch) for batch in part)


@contextlib.contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows progress; yields a function that takes the number of newly done records."""
    with progress.Counter(what, total, "records") as counter:
        yield counter.advance
    counter.say_end()
