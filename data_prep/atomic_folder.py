"""Makes a folder that is either there and whole, or not there."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def building(path: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes `path` when the block ends without an error.

    It is written beside its final place and renamed, so that a process that was killed
    leaves nothing that looks finished. What it left is removed by the next one: the
    lock goes with its process, so a folder without a lock is left over.

    Raises:
        ValueError: if another process is building the same folder.
    """
    folder = path.with_name(f".{path.name}.building")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, path)
        try:
            _empty(folder)
            yield folder
            folder.rename(path)
        except BaseException:
            shutil.rmtree(folder)
            raise
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"{path}: another process is building it; wait for it"
        ) from None


def _empty(folder: Path) -> None:
    for left_over in folder.iterdir():
        left_over.unlink()
