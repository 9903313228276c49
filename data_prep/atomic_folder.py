"""Creates folders atomically: a folder is either complete or does not exist."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def unfinished(path: Path) -> Path:
    """Returns the temporary name of a folder that is being built."""
    path = _target(path)
    return path.with_name(f".{path.name}.building")


def _target(path: Path) -> Path:
    """Returns the folder itself where a path is a link to it."""
    return path.resolve() if path.is_symlink() else path


def left_over(path: Path) -> Path | None:
    """Returns the folder that an ended build of `path` has left, if it has files."""
    folder = unfinished(path)
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, path)
    except ValueError:  # another process is still building it
        return None
    finally:
        os.close(descriptor)
    return folder


@contextlib.contextmanager
def building(path: Path, *, resume: bool = False) -> Iterator[Path]:
    """Yields a folder that becomes `path` when the block ends without an error.

    It is written under a temporary name and renamed, so a process that is killed leaves
    no folder that looks complete. The next build finds its leftovers. The lock is
    released when its process ends, which distinguishes leftovers from a build in
    progress.

    Args:
        path: folder to create.
        resume: whether files of the folder remain for the next build if this one is
            killed or an error occurs. Otherwise the folder that is yielded is empty.

    Raises:
        ValueError: if another process is building the same folder, or it is a mount
            point, which cannot be replaced.
    """
    if path.is_mount():
        raise ValueError(
            f"{path} is a mount point, which cannot be replaced by a new folder. "
            f"Choose a folder in it, such as {path / 'shards'}."
        )
    folder = unfinished(path)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, path)
        try:
            if not resume:
                _empty(folder)
            yield folder
            folder.rename(_target(path))
        except BaseException:
            with contextlib.suppress(OSError):  # the error is told, not this one
                if not resume:
                    _empty(folder)
                if not any(folder.iterdir()):
                    folder.rmdir()
            raise
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"{path}: another process is building this folder. Wait until it ends."
        ) from None


def _empty(folder: Path) -> None:
    for left_over in folder.iterdir():
        left_over.unlink()
