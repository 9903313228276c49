"""The pace of some work without its compilations, and the time that is left."""

import time
from collections.abc import Callable

LEAST_S = 1.0  # no pace is known from less time than this
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400


class Pace:
    """Measures how long units of work take, such as records.

    Time that is no measure for what is left, such as a compilation, is skipped.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts the measurement.

        Args:
            clock: function that returns the time in seconds.
        """
        self._clock = clock
        self._mark = clock()
        self._seconds = self._units = 0.0
        self._ever_s = 0.0  # measured in total; `age` does not change it

    def skip(self) -> None:
        """Ignores the time since the last call."""
        self._mark = self._clock()

    def lap(self, units: float) -> None:
        """Counts the time since the last call as that of `units`."""
        now = self._clock()
        self._seconds += now - self._mark
        self._ever_s += now - self._mark
        self._units += units
        self._mark = now

    def age(self) -> None:
        """Halves the weight of all earlier measurements, as machines change pace."""
        self._seconds /= 2
        self._units /= 2

    def rate(self) -> float | None:
        """Returns the number of units per second, or None if too little is known."""
        if not self._units or self._ever_s < LEAST_S:
            return None
        return self._units / self._seconds

    def seconds_for(self, units: float) -> float | None:
        """Returns how long `units` take, or None if too little is known."""
        rate = self.rate()
        return None if rate is None else units / rate


def duration(seconds: float) -> str:
    """Returns a duration in words, as exactly as an estimate deserves."""
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    large, small, names = HOUR_S, MINUTE_S, ("h", "min")
    if seconds >= 2 * DAY_S:
        large, small, names = DAY_S, HOUR_S, ("d", "h")
    whole, rest = divmod(round(seconds / small), large // small)
    return f"{whole} {names[0]} {rest} {names[1]}"


def time_left(seconds: float | None) -> tuple[str, ...]:
    """Returns how much time is left in words, as one fact, or none if it is unknown."""
    return () if seconds is None else (f"{duration(seconds)} left",)
