"""Names of workers that share a folder: one each, and after a restart the same."""

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from mrm_jax.runtime import atomic

OWNER_FILE = "study.json"

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


def claim(workdir: Path, study: str, config: str) -> None:
    """Makes the folder, or finds that it is this sweep's.

    Args:
        workdir: of the sweep.
        study: its name in the storage.
        config: tells its experiment and data from others.

    Raises:
        ValueError: if the folder holds the trials of another sweep.
    """
    path, own = workdir / OWNER_FILE, {"study": study, "config": config}
    found = json.loads(path.read_text()) if path.exists() else own
    if found != own:
        raise ValueError(
            f"{workdir}: holds the sweep {found['study']!r}, of another study, "
            "experiment or data; give another --workdir"
        )
    workdir.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(path) as temporary:
        temporary.write_text(json.dumps(own) + "\n")
