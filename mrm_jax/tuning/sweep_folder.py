"""The folder of a sweep belongs to one study: trials are told apart by number alone."""

import json
from pathlib import Path

from mrm_jax import atomic

OWNER_FILE = "study.json"


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
