"""Names of workers that share a folder: one each, and after a restart the same."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

FOLDER = "workers"


@contextlib.contextmanager
def taken(workdir: Path) -> Iterator[str]:
    """Yields a name that no other process has in this folder at the same time.

    The machine's, and a number where a machine has several. The system gives it free
    when the process ends, however that is, so that one that comes back has it again.

    Args:
        workdir: of the sweep, which exists.
    """
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    number = 0
    while True:
        number += 1
        name = platform.node() + (f"-{number}" if number > 1 else "")
        with (folder / name).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()}\n")
            file.flush()
            yield name
            return
