"""Methods of reading the records of a data set, and the peak memory of a build.

This module does not import JAX, which would add to the memory of the measured process.
"""

import contextlib
import dataclasses
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import wfdb

from data_prep import build, cpsc2018, ptbxl

DATA_SETS = {"ptbxl": ptbxl, "cpsc2018": cpsc2018}
PLAIN_LOOP = "wfdb.rdsamp loop"
POLL_S = 0.02
BUILD_ONCE = """
import sys
from pathlib import Path
from benchmarks import preparation

data_set, raw_dir, folder, jobs, copies = sys.argv[1:]
bench = preparation.Bench(data_set, Path(raw_dir), Path(folder), int(jobs))
bench.build_shards(int(copies))
"""


@dataclasses.dataclass
class Bench:
    """Data set to measure and a folder for temporary files."""

    data_set: str  # of DATA_SETS
    raw_dir: Path
    folder: Path
    jobs: int

    def __post_init__(self):
        """Reads the tables of the data set once."""
        self.index = DATA_SETS[self.data_set].index(self.raw_dir)

    @property
    def name(self) -> str:
        """The data set and its version."""
        return f"{self.index.data_set} {self.index.version}"

    def ways(self, copies: int) -> dict[str, tuple[Callable[[], object], int]]:
        """Returns method -> function and the number of times it reads each record."""
        return {
            PLAIN_LOOP: (self.read_plainly, 1),
            "whole command": (self.run_command, 1),
            "build": (lambda: self.build_shards(1), 1),
            f"build, records x {copies}": (lambda: self.build_shards(copies), copies),
        }

    def read_plainly(self) -> None:
        """Reads all records one after another, as most scripts do."""
        for path in self.index.paths:
            wfdb.rdsamp(str(path.with_suffix("")))

    def build_shards(self, copies: int) -> None:
        """Builds shards in a new folder, with `copies` copies of each record."""
        index, reading = _repeat(self.index, copies), DATA_SETS[self.data_set].reading()
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as folder,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            build.build(index, reading, Path(folder) / "out", jobs=self.jobs)

    def run_command(self) -> None:
        """Runs the data set's command in a new process."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            flags = ["--raw_dir", str(self.raw_dir), "--out", f"{folder}/out"]
            command = [sys.executable, "-m", DATA_SETS[self.data_set].__name__, *flags]
            subprocess.run(
                [*command, "--jobs", str(self.jobs)], check=True, capture_output=True
            )

    def peak_mib(self, jobs: int, copies: int) -> float:
        """Returns the peak resident memory of a build in a new process, in MiB."""
        arguments = [self.data_set, self.raw_dir, self.folder, jobs, copies]
        command = [sys.executable, "-c", BUILD_ONCE, *map(str, arguments)]
        process = subprocess.Popen(command)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident_bytes(process.pid))
            time.sleep(POLL_S)
        return peak / 2**20


def _repeat(index: build.Index, copies: int) -> build.Index:
    tables = {
        name: dataclasses.replace(
            table,
            matrix=np.tile(table.matrix, (copies, 1)),
            first_label=None
            if table.first_label is None
            else np.tile(table.first_label, copies),
        )
        for name, table in index.tables.items()
    }
    return dataclasses.replace(
        index,
        names=[f"{name}-{copy}" for copy in range(copies) for name in index.names],
        paths=list(index.paths) * copies,
        folds=np.tile(index.folds, copies),
        tables=tables,
    )


def resident_bytes(pid: int | None) -> int:
    """Returns the resident memory of a process and all its descendants.

    Shared pages are counted several times, so this is an upper bound.
    """
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # the process ended during the measurement
    return total
