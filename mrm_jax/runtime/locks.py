"""Locks of folders and files that one process at a time may write to."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mrm_jax.runtime import atomic, console

LOCK_FILE = ".lock"
# Some network file systems have no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def writing(folder: Path, flag: str = "--out") -> Iterator[None]:
    """Creates a folder if needed, and keeps other processes from writing to it.

    The operating system releases the lock when the process ends for any reason. What
    killed processes left half-written is removed first. A folder that was created here
    and is still empty is removed if an error occurs.

    Args:
        folder: folder of a run or of results.
        flag: flag that chooses another folder, for messages.

    Raises:
        ValueError: if another process writes to the folder, it is a file, or it cannot
            be written to.
    """
    is_new = not folder.exists()
    if folder.is_file():
        raise ValueError(f"{folder}: this is a file. Name a folder for the results.")
    with _naming_the_way_out(folder, f"Choose another folder with `{flag}`."):
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / LOCK_FILE).open("a")
    with opened as file:
        if _locked(file, folder, "folder"):
            atomic.remove_leftovers(folder)
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):  # the error is told, not this one
                if is_new and [path.name for path in folder.iterdir()] == [LOCK_FILE]:
                    (folder / LOCK_FILE).unlink()
                    folder.rmdir()
            raise


@contextlib.contextmanager
def writing_file(path: Path) -> Iterator[None]:
    """Keeps other processes from writing to a file, as `writing` does for a folder.

    The file that is locked stands beside `path` and is removed at the end.

    Raises:
        ValueError: if another process writes to the file, it is a folder, or its folder
            cannot be written to.
        OSError: if its folder does not exist.
    """
    if path.is_dir():
        raise ValueError(f"{path}: this is a folder. Name a file for the results.")
    lock = path.with_name(f".{path.name}{LOCK_FILE}")
    with contextlib.ExitStack() as stack:
        while True:
            with _naming_the_way_out(path.parent, "Name a file in another folder."):
                file = stack.enter_context(lock.open("a"))
            is_locked = _locked(file, path, "file")
            if lock.exists() and os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                break  # else its last owner removed it before it was locked here
            file.close()
        if is_locked:
            atomic.remove_leftovers(path.parent, path)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _naming_the_way_out(folder: Path, advice: str) -> Iterator[None]:
    """Says which folder cannot be written to, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        raise ValueError(
            f"{folder}: this folder cannot be written to ({error.strerror}). {advice}"
        ) from None


def acquire(file: IO[str]) -> bool:
    """Locks an open file; returns False if its file system has no locks.

    Raises:
        BlockingIOError: if another process has locked it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def _locked(file: IO[str], what: Path, kind: str) -> bool:
    """Locks an open file as `acquire` does, and says what is wrong."""
    try:
        is_locked = acquire(file)
    except BlockingIOError:
        raise ValueError(
            f"{what}: another process is writing to this {kind}. Wait until it has "
            f"finished, or choose another {kind}."
        ) from None
    if not is_locked:
        console.say(
            f"{what}: this file system has no locks. Start only one process that "
            f"writes to this {kind}."
        )
    return is_locked
