"""Preemption by SIGTERM, between two mapped calls and in all processes at once.

Schedulers send it before they take a machine away, some 30 seconds ahead.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mrm_jax.runtime import devices

Track = Callable[[Iterable[Any], int], Iterable[Any]]


class Preempted(Exception):
    """The run was preempted, and stopped where it can be resumed."""


class PreemptionHandler:
    """Whether the run was preempted. A context that listens, in the main thread.

    The second SIGTERM ends the process as if nobody listened.
    """

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._heard = False
        self._agreed = False  # all processes stopped before the same call
        self._before: Any = signal.SIG_DFL

    def __enter__(self) -> "PreemptionHandler":
        """Begins to listen."""
        self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        """Puts back who listened before."""
        signal.signal(signal.SIGTERM, self._before)

    def pausing(self, track: Track) -> Track:
        """Returns track for calls of which no more come once all agreed to leave."""
        return lambda calls, total: track(self._until(calls), total)

    def leaving(self, track: Track) -> Track:
        """Returns track for calls that raise Preempted once all agreed to leave."""
        return lambda calls, total: track(self._or_leave(calls), total)

    def raise_if_preempted(self) -> None:
        """Ends the run if its calls paused.

        Raises:
            Preempted: if so.
        """
        if self._agreed:
            raise Preempted("while scoring")

    def raise_if_signalled(self) -> None:
        """Ends what this process does alone, between two calls.

        Raises:
            Preempted: if it was preempted.
        """
        if self._heard:
            raise Preempted("while waiting")

    def _or_leave(self, calls: Iterable[Any]) -> Iterator[Any]:
        yield from self._until(calls)
        self.raise_if_preempted()

    def _until(self, calls: Iterable[Any]) -> Iterator[Any]:
        """Yields calls until all processes agree to leave.

        They ask each other before every call and read the answer before the next, so
        that no call waits for it. JAX's reached_preemption_sync_point would do this in
        several processes only, and take no notice of a second SIGTERM.
        """
        answer = devices.any_process(self._is_heard)
        for call in calls:
            self._agreed = answer()
            if self._agreed:
                return
            answer = devices.any_process(self._is_heard)
            yield call

    def _hear(self, *_: object) -> None:
        self._heard = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _is_heard(self) -> bool:
        return self._heard
