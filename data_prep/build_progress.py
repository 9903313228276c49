"""Keeps the finished shards of a build that was interrupted, so that it can go on.

Beside each finished shard, the unfinished folder holds a file that says which records
of the index were read for it, and the sizes and times of their files. A build of the
same records by the same versions goes on after the last of them. These files are
removed when the build is finished.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np

from mrm_jax import version
from mrm_jax.data import wfdb_files
from mrm_jax.runtime import atomic, console

PREFIX = "progress-"
IDENTITY = f"{PREFIX}build.json"
# Files of a record beside the one that its path names, or would name with a suffix.
SUFFIXES = (".hea", ".dat", ".mat")
LIBRARIES = ("numpy", "scipy", "wfdb")  # beside mrm_jax, they determine the bytes
DECODER = "ecgdatakit"  # of files of ECG devices, if it is installed


def versions() -> dict[str, str]:
    """Returns the versions that determine the bytes of a shard."""
    installed = {name: metadata.version(name) for name in LIBRARIES}
    with contextlib.suppress(metadata.PackageNotFoundError):
        installed[DECODER] = metadata.version(DECODER)
    return {"mrm_jax": version.VERSION} | installed


def stamp(paths: Iterable[Path]) -> str:
    """Returns a hash of the sizes and times of the files of records."""
    found = hashlib.sha256()
    for path in paths:
        for name in sorted(_files_of(path)):
            try:
                status = os.stat(name)
            except OSError:
                continue
            line = f"{name} {status.st_size} {status.st_mtime_ns}\n"
            found.update(line.encode())
    return found.hexdigest()


def _files_of(path: Path) -> set[str]:
    """Returns the files that a record may consist of; not all of them exist."""
    names = {str(path), *(f"{path}{suffix}" for suffix in SUFFIXES)}
    names |= {str(path.with_suffix(suffix)) for suffix in SUFFIXES}
    headers = [name for name in names if name.endswith(".hea")]
    for header in headers:
        for part in wfdb_files.named_files(Path(header)):
            names.add(str(part))
            if part.suffix == ".hea":  # a segment
                names |= {str(file) for file in wfdb_files.named_files(part)}
    return names


@dataclasses.dataclass
class Part:
    """What became of consecutive records of the index, up to the end of a shard."""

    end: int = 0  # records of the index before this one were read
    kept: list[int] = dataclasses.field(default_factory=list)  # rows of the index
    notes: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    skipped: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    stamp: str = ""  # of the files of its records

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file of a finished part.

        Raises:
            ValueError: if it is damaged.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from None

    def add(self, other: Self) -> None:
        """Appends the records of a later part."""
        self.end = other.end
        self.kept += other.kept
        self.notes += other.notes
        self.skipped += other.skipped


class Progress:
    """The records of a build that are read, in the folder of the unfinished build."""

    def __init__(self, folder: Path, paths: Sequence[Path], identity: dict[str, Any]):
        """Opens the folder; what another build left there is removed.

        Args:
            folder: folder of the unfinished build.
            paths: paths of the records of the index.
            identity: what determines the bytes of the shards, as JSON.
        """
        self.folder = folder
        self.paths = paths
        self.done = Part()  # in finished shards
        self.shards: list[Path] = []  # finished
        self._open = Part()  # not yet in a finished shard
        path, text = folder / IDENTITY, json.dumps(identity | versions())
        if path.is_file() and path.read_text() != text:
            console.say(_difference(path.read_text(), text))
        if not path.is_file() or path.read_text() != text:
            self.discard()
            path.write_text(text)

    def resume(self, is_valid: Callable[[Part, np.ndarray], bool]) -> None:
        """Takes over the finished shards that are still valid, and removes the rest.

        Args:
            is_valid: says whether the records of a part are still those of its shard,
                [record, time, lead].
        """
        for number in range(len(list(self.folder.iterdir()))):
            shard = self.folder / f"signals-{number:05d}.npy"
            try:
                part = Part.read(self._path(shard))
                valid = part.stamp == self._stamp(part) and is_valid(
                    part, np.load(shard, mmap_mode="r")
                )
            except (OSError, ValueError, EOFError):  # the machine may have lost power
                break
            if not valid:
                break
            self.done.add(part)
            self.shards.append(shard)
        used = {self.folder / IDENTITY, *self.shards, *map(self._path, self.shards)}
        self._remove(keep=used)

    def keep(self, row: int, notes: Sequence[str]) -> None:
        """Remembers that a record is in the shards, with doubts about it."""
        self._open.kept.append(row)
        self._open.notes += [(row, note) for note in notes]
        self._open.end = row + 1

    def skip(self, row: int, reason: str) -> None:
        """Remembers that a record was skipped."""
        self._open.skipped.append((row, reason))
        self._open.end = row + 1

    def finish_shard(self, shard: Path) -> None:
        """Remembers that all records that were kept so far are in finished shards."""
        with shard.open("rb") as file:
            os.fsync(file.fileno())  # so that it outlives its progress file
        self._open.stamp = self._stamp(self._open)
        with atomic.replacing(self._path(shard)) as path:
            path.write_text(json.dumps(dataclasses.asdict(self._open)))
        self.shards.append(shard)
        self.finish()

    def finish(self) -> Part:
        """Returns what became of all records that were read."""
        self.done.add(self._open)
        self._open = Part(self.done.end)
        return self.done

    def discard(self) -> None:
        """Removes all files of the unfinished build."""
        self._remove(keep=())

    def remove_files(self) -> None:
        """Removes the files that only an unfinished build needs, at its end."""
        for path in self.folder.glob(f"{PREFIX}*"):
            path.unlink()

    def _stamp(self, part: Part) -> str:
        """Returns the stamp of a part that follows the finished ones."""
        return stamp(self.paths[self.done.end : part.end])

    def _path(self, shard: Path) -> Path:
        return self.folder / f"{PREFIX}{shard.stem}.json"

    def _remove(self, keep: Sequence[Path] | set[Path]) -> None:
        for path in self.folder.iterdir():
            if path not in keep:
                path.unlink()


def _difference(before: str, now: str) -> str:
    """Returns why an unfinished build is not continued."""
    try:
        old, new = json.loads(before), json.loads(now)
        names = [name for name in new if old.get(name) != new[name]]
    except (AttributeError, ValueError):
        names = []
    what = f"another {', '.join(names)}" if names else "other settings"
    return f"an unfinished build is discarded, because it has {what}"
