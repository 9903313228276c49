"""Atomic replacement of files, alone or several together."""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

LEFTOVER = re.compile(r"\.(.*)\.[0-9a-f]{32}\.tmp(\..*)?")


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yields the path of a temporary file that replaces `path` at the end.

    If the process is killed before that, the old file remains unchanged. The temporary
    name is unique across processes and machines. It keeps the suffix, from which NumPy
    and Matplotlib infer the format.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_together(folder: Path, last: str) -> Iterator[Path]:
    """Yields a temporary folder whose files replace those of `folder` at the end.

    The old files remain unchanged until all new ones are complete, even if the disk is
    full or the process is killed. Files of `folder` without a new version are kept.

    Args:
        folder: existing folder.
        last: name of the file that is replaced last, since it marks completion.
    """
    temporary = _temporary(folder / "files")
    temporary.mkdir()
    try:
        yield temporary
        for path in sorted(temporary.iterdir(), key=lambda path: path.name == last):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, of: Path | None = None) -> None:
    """Removes temporary files and folders that killed processes left behind.

    Call it only while no other process writes to them.

    Args:
        folder: folder to search.
        of: the file whose leftovers are removed. Default: all.
    """
    for path in folder.iterdir():
        found = LEFTOVER.fullmatch(path.name)
        if not found or (of and (found[1], found[2] or "") != (of.stem, of.suffix)):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp{path.suffix}")
