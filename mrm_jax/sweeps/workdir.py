"""The folder of a sweep: a record of its sweep, and names for its workers."""

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from mrm_jax.runtime import atomic, json_files, locks

OWNER_FILE = "study.json"  # the sweep that the folder belongs to
WORKERS_FOLDER = "workers"  # one locked file for each worker


def initialize(workdir: Path, study: str, config: str) -> None:
    """Creates the folder, or checks that it belongs to this sweep.

    Args:
        workdir: folder of the sweep.
        study: name of the study in the storage.
        config: fingerprint of the experiment and its data.

    Raises:
        ValueError: if the folder holds the trials of another sweep.
    """
    path, own = workdir / OWNER_FILE, {"study": study, "config": config}
    found = own
    if path.exists():
        advice = "Pass another --workdir, or remove the file if the folder is new."
        found = json_files.load(path, advice)
        found = json_files.convert(found, dict[str, str], path, advice)
    if found != own:
        raise ValueError(
            f"{workdir} holds the sweep {found.get('study')!r}, which has another "
            "study name, experiment or data. Pass another --workdir."
        )
    workdir.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(path) as temporary:
        temporary.write_text(json.dumps(own) + "\n")


@contextlib.contextmanager
def worker_name(workdir: Path, *, has_shared_study: bool = False) -> Iterator[str]:
    """Yields a name that no other worker of the study uses at the same time.

    The name is the machine's host name, with a number if several workers share the
    machine. It is held by a file lock, which the system releases when the process ends
    for any reason, so a worker that is started again gets its old name.

    Args:
        workdir: folder of the sweep, which exists.
        has_shared_study: whether workers in other folders may work on the same study.
            A mark of the folder then keeps the names apart.

    Raises:
        ValueError: if the file system has no locks.
    """
    folder = workdir / WORKERS_FOLDER
    folder.mkdir(exist_ok=True)
    base, number = platform.node(), 0
    if has_shared_study:
        base += f"-{hashlib.sha256(os.fsencode(workdir.resolve())).hexdigest()[:6]}"
    while True:
        number += 1
        name = base + (f"-{number}" if number > 1 else "")
        with (folder / name).open("a") as file:
            try:
                is_locked = locks.acquire(file)
            except BlockingIOError:
                continue
            if not is_locked:
                raise ValueError(
                    f"{folder}: this file system has no locks, which keep workers of "
                    "the same machine apart. Name each worker with --worker."
                )
            file.truncate(0)
            file.write(f"process {os.getpid()}\n")
            file.flush()
            yield name
            return
