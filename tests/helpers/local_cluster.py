"""A Dask cluster for tests: real processes on loopback, and code for its workers."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mrm_jax.data import wfdb_files

ROOT = Path(__file__).parents[2]
START = "{code}\nfrom distributed.cli.{command} import main\nmain()"
LOOPBACK = ["--host", "127.0.0.1", "--no-dashboard"]
START_S = 60  # until a process has to be there, on a machine that is busy
ORPHAN_S = "300"  # until a process ends by itself, if the tests themselves are killed


class LocalCluster:
    """A scheduler, and workers that are added and killed."""

    def __init__(self, folder: Path):
        """Starts a scheduler without workers; `folder` keeps its file and its logs."""
        import distributed

        self.scheduler_file = folder / "scheduler.json"
        self._folder = folder
        self._processes: list[subprocess.Popen] = []
        self.scheduler = self._start(
            "dask_scheduler", "--port", "0", "--idle-timeout", ORPHAN_S
        )
        deadline = time.monotonic() + START_S
        while not self.scheduler_file.exists():
            assert self.scheduler.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        self.client = distributed.Client(
            scheduler_file=str(self.scheduler_file), set_as_default=False
        )
        self.address = self.client.scheduler.address

    def stop(self) -> None:
        """Ends all processes, those that are stuck too."""
        self.client.close()
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def add_worker(
        self, code: str = "", threads: int = 1
    ) -> tuple[str, subprocess.Popen]:
        """Starts a worker that runs `code` first; returns its address and process."""
        before = set(self.client.nthreads())
        flags = ["--no-nanny", "--nthreads", str(threads), "--memory-limit", "0"]
        flags += ["--death-timeout", ORPHAN_S]
        process = self._start("dask_worker", *flags, code=code)
        self.client.wait_for_workers(len(before) + 1, timeout=START_S)
        (address,) = set(self.client.nthreads()) - before
        return address, process

    @contextlib.contextmanager
    def worker(self, code: str) -> Iterator[str]:
        """Yields the address of a temporary worker."""
        address, process = self.add_worker(code)
        try:
            yield address
        finally:
            process.kill()
            process.wait()
            self.wait_until_gone(address)

    def wait_until_gone(self, address: str) -> None:
        """Returns when the scheduler knows that a worker is dead."""
        deadline = time.monotonic() + START_S
        while address in self.client.nthreads():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def fill(self) -> None:
        """Starts workers until there are two, with one thread and with two."""
        threads = list(self.client.nthreads().values())
        for wanted in {1, 2} - set(threads):
            self.add_worker(threads=wanted)

    def _start(self, command: str, *flags: str, code: str = "") -> subprocess.Popen:
        environment = {
            "PYTHONPATH": str(ROOT),
            # A batch may kill one worker; it is marked as failed when it kills the
            # second.
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
            # The default, 30 s, is what some runs waited after workers had died.
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        }
        with (self._folder / f"{command}.log").open("a") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", START.format(code=code, command=command)),
                    *("--scheduler-file", str(self.scheduler_file), *LOOPBACK, *flags),
                    *("--dashboard-address", "127.0.0.1:0"),
                ],
                cwd=self._folder,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process


def without_package() -> str:
    """Returns the code of a machine where data_prep is not installed."""
    return "import sys; sys.modules['data_prep'] = None"


def without_decoder() -> str:
    """Code for a worker that cannot read files of ECG devices."""
    return "from data_prep import build_progress; build_progress.DECODER = 'missing'"


def of_another_version() -> str:
    """Returns the code of a machine with an old version."""
    return "from mrm_jax import version; version.VERSION = '0.0.9'"


def without_files(start: Path) -> str:
    """Returns the code of a machine where files that start with `start` are not."""
    return f"""
import sys
def hide(event, args):
    if event == "open" and str(args[0]).startswith({str(start)!r}):
        raise FileNotFoundError(2, "No such file or directory", args[0])
sys.addaudithook(hide)
"""


def read_and_kill(
    path: Path, *, at: str, marker: Path | None = None, victim: int | None = None
) -> tuple[np.ndarray, int]:
    """Reads a record; before the one named `at`, kills.

    Args:
        path: the record.
        at: its name.
        marker: a file that is made before, and keeps from killing once more.
        victim: the process to kill; by default the one that reads.
    """
    if path.name == at and not (marker and marker.exists()):
        if marker:
            marker.touch()
        os.kill(victim or os.getpid(), signal.SIGKILL)
    return wfdb_files.read_record(path)
