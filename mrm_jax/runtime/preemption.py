"""Stops a run on SIGTERM, between two mapped calls and in all processes at once.

Schedulers send SIGTERM about 30 seconds before they take a machine away.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mrm_jax.runtime import devices

Track = Callable[[Iterable[Any], int], Iterable[Any]]


class Preempted(Exception):
    """Exception of a preempted run; its message names where the run can resume."""


class PreemptionHandler:
    """Handler of SIGTERM; a context manager, to be entered in the main thread.

    A second SIGTERM ends the process, as it would without the handler.
    """

    def __init__(self) -> None:
        """Creates a handler that does not listen yet."""
        self._signalled = False  # this process received SIGTERM
        self._preempted = False  # all processes stopped before the same call
        self._before: Any = signal.SIG_DFL

    def __enter__(self) -> "PreemptionHandler":
        """Starts to listen for SIGTERM."""
        self._before = signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Restores the previous handler."""
        signal.signal(signal.SIGTERM, self._before)

    def stop_when_preempted(self, track: Track) -> Track:
        """Wraps track so that its calls end early when the run is preempted."""
        return lambda calls, total: track(self._until_preempted(calls), total)

    def raise_when_preempted(self, track: Track) -> Track:
        """Wraps track so that its calls raise Preempted when the run is preempted."""
        return lambda calls, total: track(self._or_raise(calls), total)

    def raise_if_preempted(self) -> None:
        """Raises if calls of `stop_when_preempted` ended early.

        Raises:
            Preempted: if they did.
        """
        if self._preempted:
            raise Preempted("while scoring")

    def raise_if_signalled(self) -> None:
        """Raises if this process received SIGTERM, for work that it does by itself.

        Raises:
            Preempted: if it did.
        """
        if self._signalled:
            raise Preempted("while waiting")

    def _or_raise(self, calls: Iterable[Any]) -> Iterator[Any]:
        yield from self._until_preempted(calls)
        self.raise_if_preempted()

    def _until_preempted(self, calls: Iterable[Any]) -> Iterator[Any]:
        """Yields calls until all processes agree to stop.

        They ask each other before every call and read the answer before the next one,
        so that no call waits for it. JAX's reached_preemption_sync_point would do this
        only with several processes, and would ignore a second SIGTERM.
        """
        answer = devices.any_process(self._is_signalled)
        for call in calls:
            self._preempted = answer()
            if self._preempted:
                return
            answer = devices.any_process(self._is_signalled)
            yield call

    def _on_signal(self, *_: object) -> None:
        self._signalled = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _is_signalled(self) -> bool:
        return self._signalled
