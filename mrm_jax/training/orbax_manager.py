"""Orbax's manager of checkpoints, with errors and a log as a user needs them."""

import contextlib
import errno
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import orbax.checkpoint as ocp

DELETED = ".deleted"  # in a folder of checkpoints: those that are being removed


class Manager(ocp.CheckpointManager):
    """A manager whose errors of a full disk say so, and which removes at once.

    A process that is killed while it removes a checkpoint would leave a part of it,
    which looks like a damaged one. So Orbax moves it to DELETED, and it is removed
    there.

    The manager also leaves the check for preemption to `runtime.preemption`: Orbax
    before 0.12 fails with several processes if JAX's preemption service is off.
    """

    _has_saved = False  # else another process may be writing to the folder

    def reached_preemption(self, step: int) -> bool:
        """Returns False."""
        return False

    def save(self, *args: Any, **kwargs: Any) -> bool:
        """Saves a checkpoint; raises errors of the one before."""
        self._has_saved = True
        with self._naming_a_full_disk(), _without_handlers_of_asyncio():
            return super().save(*args, **kwargs)

    def restore(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the items of a checkpoint."""
        with _without_handlers_of_asyncio():
            return super().restore(*args, **kwargs)

    def wait_until_finished(self) -> None:
        """Waits for checkpoints that are being written, and raises their errors."""
        with self._naming_a_full_disk():
            super().wait_until_finished()
        if self._has_saved:
            remove_deleted(Path(self.directory))

    @contextlib.contextmanager
    def _naming_a_full_disk(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # of TensorStore, several lines long
            if os.strerror(errno.ENOSPC) not in str(error):
                raise
            raise OSError(
                errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.directory)
            ) from None


def remove_deleted(folder: Path) -> None:
    """Removes what is left of deleted checkpoints.

    Args:
        folder: folder of checkpoints, to which no other process writes.
    """
    shutil.rmtree(folder / DELETED, ignore_errors=True)


@contextlib.contextmanager
def _without_handlers_of_asyncio() -> Iterator[None]:
    """Keeps asyncio from installing its own handler of Ctrl-C.

    Orbax runs many event loops. In the main thread, each of them looks the handler up,
    and Python then builds an error message, which nobody sees, from the handler's
    `repr`. That of asyncio's handler contains the result of its task, which may be all
    arrays of a checkpoint. This took 0.8 of the 2.0 s to read a run.
    """
    default = signal.default_int_handler
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not default:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, default)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Does what Python does on Ctrl-C, but is not the handler that asyncio replaces."""
    signal.default_int_handler(number, frame)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in Path(record.pathname).parts


def _report_unraisable(
    found: Any, report: Callable[[Any], object] = sys.unraisablehook
) -> None:
    if str(found.exc_value) != "Event loop is closed":
        report(found)


# If a write fails, Orbax raises the error, but also logs its traceback once for each of
# its threads, and leaves tasks behind whose event loop is closed.
logging.getLogger("absl").addFilter(_is_not_of_orbax)
sys.unraisablehook = _report_unraisable
