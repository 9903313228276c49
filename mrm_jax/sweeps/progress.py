"""Progress of a sweep on the terminal: how many trials ended, and the best of them."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import rich.progress

from mrm_jax.runtime import console
from mrm_jax.sweeps import search_space
from mrm_jax.sweeps.leases import Lease
from mrm_jax.sweeps.study import Progress
from mrm_jax.sweeps.trials import Row


class SweepProgress:
    """Prints a line for every trial that ended and, on a terminal, two bars below.

    The upper bar counts trials, the lower one the calls of the running epoch. If the
    output is not a terminal, a line every `console.PLAIN_EVERY_S` seconds replaces
    the bars.
    """

    def __init__(self, title: str) -> None:
        """Creates the bars; `title` names what is counted."""
        self._console = console.console()
        self._title, self._said = title, time.monotonic()
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._trials = self._bars.add_task(title, total=None, note="")
        self._calls = self._bars.add_task("starting", total=None, note="")

    def __enter__(self) -> "SweepProgress":
        """Shows the bars."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the bars."""
        self._bars.stop()

    def update(self, progress: Progress, best: Row | None) -> None:
        """Shows how far the study is, over all workers."""
        note = f"{progress.running} running"
        if best is not None and best.value is not None:
            note += f", best {best.value:.4f} (trial {best.number})"
        self._bars.update(
            self._trials, total=progress.total, completed=progress.ended, note=note
        )
        if self._plain_is_due():
            self._say(
                f"{self._title}: {progress.ended} of {progress.total} ended, {note}"
            )

    def ended(self, lease: Lease, outcome: str) -> None:
        """Prints how a trial ended."""
        self._say(
            f"trial {lease.number}: {outcome}; {search_space.written(lease.values)}"
        )

    def tracker(self, description: str) -> Any:
        """Returns a function that shows an epoch's calls, like `console.tracker`."""

        def track(items: Iterable[Any], total: int) -> Iterator[Any]:
            """Yields the items and shows how many of total are done."""
            self._bars.reset(self._calls, total=total, description=description)
            for item in items:
                yield item
                self._bars.advance(self._calls)

        return track

    def _plain_is_due(self) -> bool:
        late = time.monotonic() - self._said > console.PLAIN_EVERY_S
        return late and not self._console.is_terminal

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        self._console.print(text, markup=False, soft_wrap=True)
