"""Locks of folders that one process at a time may write to."""

import contextlib
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path

from mrm_jax.runtime import atomic, console

LOCK_FILE = ".lock"
# Some network file systems have no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Creates a folder if needed, and keeps other processes from writing to it.

    The operating system releases the lock when the process ends for any reason. What
    killed processes left half-written is removed first.

    Args:
        folder: folder of a run or of results.

    Raises:
        ValueError: if another process writes to the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{folder}: another process is writing to this folder. Wait until it "
                "has finished, or choose another folder."
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            console.say(
                f"{folder}: this file system has no locks. Start only one process "
                "that writes to this folder."
            )
        else:
            atomic.remove_leftovers(folder)
        yield
