"""Progress of a sweep on the terminal: how many trials ended, and the best of them."""

from collections.abc import Iterable, Iterator
from typing import Any

from mrm_jax.runtime import progress
from mrm_jax.sweeps import search_space
from mrm_jax.sweeps.leases import Lease
from mrm_jax.sweeps.study import Progress
from mrm_jax.sweeps.trials import Row


class SweepProgress:
    """Prints a line for every trial that ended and, on a terminal, two bars below.

    The upper bar counts trials, the lower one the calls of the running epoch. If the
    output is not a terminal, a line every `progress.PLAIN_EVERY_S` seconds replaces
    the bars.
    """

    def __init__(self, title: str) -> None:
        """Creates the bars; `title` names what is counted."""
        self._trials, self._calls = (
            progress.Bar(title, unit="ended"),
            progress.Bar("starting"),
        )
        self._display = progress.Display(self._trials, self._calls)

    def __enter__(self) -> "SweepProgress":
        """Shows the bars."""
        self._display.__enter__()
        return self

    def __exit__(self, *stopped_by: object) -> None:
        """Removes the bars."""
        self._display.__exit__(*stopped_by)

    def update(self, found: Progress, best: Row | None) -> None:
        """Shows how far the study is, over all workers."""
        facts = [f"{found.running} running"]
        if best is not None and best.value is not None:
            facts.append(f"best {best.value:.4f} (trial {best.number})")
        self._trials.total, self._trials.done = found.total, found.ended
        self._trials.facts = facts
        self._display.update()

    def ended(self, lease: Lease, outcome: str) -> None:
        """Prints how a trial ended."""
        values = search_space.written(lease.values)
        self._display.say(f"trial {lease.number}: {outcome}; {values}")

    def tracker(self, title: str) -> progress.Track:
        """Returns a function that shows an epoch's calls, like `progress.tracker`."""

        def track(items: Iterable[Any], total: int) -> Iterator[Any]:
            """Yields the items and shows how many of total are done."""
            self._calls.title, self._calls.total, self._calls.done = title, total, 0
            for item in items:
                yield item
                self._calls.done += 1
                self._display.update()

        return track
