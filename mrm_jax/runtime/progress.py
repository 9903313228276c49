"""Progress of long work: lines that are redrawn on a terminal, few lines in a log."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import rich.console
import rich.live
import rich.progress_bar
import rich.text

from mrm_jax.runtime import console
from mrm_jax.runtime import pace as pace_lib

PLAIN_EVERY_S = 60
NARROWEST_BAR, WIDEST_BAR = 8, 40  # characters
REDRAWN_PER_S = 4
MARGIN = 3  # columns left free, so that "^C" after a bar does not begin a new line
GAP = "  "

Track = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclasses.dataclass
class Bar:
    """How much of some work is done, and facts about it."""

    title: str
    total: int | None = None
    done: int = 0
    unit: str = ""  # what is counted, in the plural; empty: not named
    facts: Sequence[str] = ()  # the most important first

    def plain(self) -> str:
        """Returns a line for a log."""
        unit = f" {self.unit}" if self.unit else ""
        count = (
            () if self.total is None else (f"{self.done:,} of {self.total:,}{unit}",)
        )
        return f"{self.title}: {', '.join([*count, *self.facts])}"

    def pieces(self, width: int) -> tuple[list[str], int]:
        """Returns what fits into a line of a terminal, and the width of the bar.

        Whole facts are left out where the line is too narrow, the least important
        first, so that no number is cut. The title is always there.

        Args:
            width: number of characters in the line.
        """
        count = () if self.total is None else (f"{self.done:,}/{self.total:,}",)
        pieces = [self.title, *count, *self.facts]
        while len(pieces) > 1 and len(GAP.join(pieces)) > width:
            pieces.pop()
        spare = width - len(GAP.join([*pieces, ""]))
        return pieces, min(spare, WIDEST_BAR) if spare >= NARROWEST_BAR else 0

    def __rich_console__(
        self, _: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> Iterator[Any]:
        """Yields the parts of a line of a terminal."""
        (title, *rest), width = self.pieces(options.max_width - MARGIN)
        end = GAP if rest or width else "\n"
        yield rich.text.Text(title, no_wrap=True, overflow="crop", end=end)
        if width:
            yield rich.progress_bar.ProgressBar(self.total, self.done, width)
            yield rich.text.Text(GAP if rest else "", end="" if rest else "\n")
        if rest:
            yield rich.text.Text(GAP.join(rest), no_wrap=True)


class Display:
    """Shows bars while it is entered: a context manager.

    On a terminal the bars are redrawn and disappear at the end. Elsewhere `update`
    prints the first bar as a whole line, at most every PLAIN_EVERY_S seconds, so that
    short work prints no lines and long work shows that it continues.
    """

    def __init__(self, *bars: Bar) -> None:
        """Takes the bars, which the caller changes and then calls `update`."""
        self._bars, self._console = bars, console.console()
        self._said = time.monotonic()
        self._live: rich.live.Live | None = None
        if self._console.is_terminal:
            self._live = rich.live.Live(
                get_renderable=lambda: rich.console.Group(*self._bars),
                console=self._console,
                transient=True,
                refresh_per_second=REDRAWN_PER_S,
            )

    def __enter__(self) -> "Display":
        """Shows the bars."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the bars."""
        if self._live is not None:
            self._live.stop()

    @property
    def is_redrawn(self) -> bool:
        """Whether the bars are redrawn, as on a terminal."""
        return self._live is not None

    def say(self, text: str) -> None:
        """Prints a line, above the bars where there are any."""
        self._said = time.monotonic()
        console.say(text)

    def say_facts(self, title: str, facts: Sequence[str]) -> None:
        """Prints a line as `console.say_facts` does, above bars where there are any."""
        self._said = time.monotonic()
        console.say_facts(title, facts)

    def update(self) -> None:
        """Prints a line where the bars are not redrawn and none was printed lately."""
        if not self.is_redrawn and time.monotonic() - self._said > PLAIN_EVERY_S:
            self.say(self._bars[0].plain())


class Counter:
    """Counts work that is done and shows it with its pace: a context manager."""

    def __init__(self, title: str, total: int, unit: str = "") -> None:
        """Creates a bar.

        Args:
            title: name of the work.
            total: number of its units.
            unit: name of the units in the plural, whose rate is then shown.
        """
        self._bar = Bar(title, total, unit=unit)
        self._display, self._pace = Display(self._bar), pace_lib.Pace()

    def __enter__(self) -> "Counter":
        """Shows the bar."""
        self._display.__enter__()
        return self

    def __exit__(self, *stopped_by: object) -> None:
        """Removes the bar."""
        self._display.__exit__(*stopped_by)

    def advance(self, count: int = 1) -> None:
        """Adds units that are done.

        The first call counts for no pace, since work begins with what happens once,
        such as a compilation or the start of other processes.
        """
        bar, pace = self._bar, self._pace
        if bar.done:
            pace.lap(count)
        else:
            pace.skip()
        bar.done += count
        rate = pace.rate() if bar.unit else None
        bar.facts = (
            *pace_lib.time_left(pace.seconds_for((bar.total or 0) - bar.done)),
            *(() if rate is None else (f"{rate:,.1f} {bar.unit}/s",)),
        )
        self._display.update()

    def say_end(self) -> None:
        """Prints how much was done where the bar is not redrawn."""
        if not self._display.is_redrawn:
            self._display.say(self._bar.plain())


def tracker(title: str) -> Track:
    """Returns a function of items and their number that yields them with progress."""

    def track(items: Iterable[Any], total: int) -> Iterator[Any]:
        """Yields the items and shows how many of total are done."""
        with Counter(title, total) as counter:
            for item in items:
                yield item
                counter.advance()

    return track
