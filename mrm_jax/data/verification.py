"""Compares files with their SHA-256 in the background, while other work goes on."""

import threading
from collections.abc import Mapping
from pathlib import Path

from mrm_jax.data import manifest


def damaged(files: Mapping[Path, str]) -> str | None:
    """Returns what is wrong with the first file that differs from its SHA-256.

    Args:
        files: SHA-256 by path, in hexadecimal.
    """
    for path, expected in files.items():
        try:
            found = manifest.sha256(path)
        except OSError as error:
            return f"{path}: unreadable ({error.strerror})"
        if found != expected:
            return (
                f"{path}: its SHA-256 differs from the manifest's, so the file was "
                "changed or damaged. Build the shards again"
            )
    return None


class Verification:
    """A verification of files, at most once, on a thread of its own.

    Hashing does not hold the interpreter's lock, so it takes a processor core from the
    other work, but does not block it.
    """

    def __init__(self, files: Mapping[Path, str]):
        """Prepares the verification of files, given as SHA-256 by path."""
        self._files = files
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._damage: str | None = None

    def start(self) -> None:
        """Starts the verification, if it has not been started."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._verify, daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """Waits for the end of the verification.

        Raises:
            ValueError: if a file cannot be read or differs from its SHA-256.
        """
        self.start()
        assert self._thread is not None
        self._thread.join()
        if self._damage is not None:
            raise ValueError(f"{self._damage}.")

    def _verify(self) -> None:
        self._damage = damaged(self._files)
