"""The files of what is kept between processes: programs, their names, and shapes.

They are code that is run, so they are only read if they belong to the user and nobody
else can write them. A file that cannot be read or written does no harm.
"""

import contextlib
import itertools
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mrm_jax.runtime import atomic

MAX_BYTES = {".program": 2**29, ".key": 2**17, ".shapes": 2**22}  # in all; see `save`


def read(path: Path) -> bytes | None:
    """Returns the content of a file of ours, or None if there is no such file."""
    try:
        facts = path.stat()
        if hasattr(os, "getuid"):  # not on Windows
            is_ours = facts.st_uid == os.getuid() and not facts.st_mode & 0o022
            if not is_ours:
                logging.debug("%s: others can write it, so it is not read", path)
                return None
        with contextlib.suppress(OSError):  # a read-only file system
            os.utime(path)  # it is used
        return path.read_bytes()
    except OSError:
        return None


def unpickled(path: Path) -> Any:
    """Returns what a file of ours holds, or None if there is none that can be read."""
    content = read(path)
    if content is None:
        return None
    try:
        return pickle.loads(content)
    except Exception as error:  # whatever a damaged file leads to
        logging.debug("%s: cannot be read: %s", path, error)
        return None


def save(path: Path, content: Callable[[], bytes]) -> bool:
    """Saves a file, and removes the least recently used of its kind beyond MAX_BYTES.

    Returns:
        Whether that was possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(content())
            temporary.chmod(0o600)
        _remove_old(path.parent, path.suffix)
    except Exception as error:  # the program itself is there
        logging.debug("%s: cannot be saved: %s", path, error)
        return False
    return True


def _remove_old(folder: Path, suffix: str) -> None:
    """Removes the least recently used files of a kind beyond MAX_BYTES."""
    alike = []
    for path in folder.glob(f"*{suffix}"):
        with contextlib.suppress(FileNotFoundError):  # another process removed it
            alike.append((path.stat(), path))
    alike.sort(key=lambda item: -item[0].st_mtime)
    sizes = itertools.accumulate(facts.st_size for facts, _ in alike)
    for size, (_, old) in zip(sizes, alike, strict=True):
        if size > MAX_BYTES[suffix]:
            old.unlink(missing_ok=True)
