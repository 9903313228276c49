"""Atomic replacement of files."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yields the path of a temporary file that replaces `path` at the end.

    If the process is killed before that, the old file remains unchanged. The temporary
    name is unique across processes and machines. It keeps the suffix, from which NumPy
    and Matplotlib infer the format.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
