"""Orbax's manager of checkpoints, with errors and a log as a user needs them."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp


class Manager(ocp.CheckpointManager):
    """A manager whose errors of a full disk say so.

    It also leaves the check for preemption to `runtime.preemption`: Orbax before 0.12
    fails with several processes if JAX's preemption service is off.
    """

    def reached_preemption(self, step: int) -> bool:
        """Returns False."""
        return False

    def save(self, *args: Any, **kwargs: Any) -> bool:
        """Saves a checkpoint; raises errors of the one before."""
        with self._naming_a_full_disk():
            return super().save(*args, **kwargs)

    def wait_until_finished(self) -> None:
        """Waits for checkpoints that are being written, and raises their errors."""
        with self._naming_a_full_disk():
            super().wait_until_finished()

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
