"""Measures the preparation of a data set against a plain `wfdb.rdsamp` loop.

Both read the same records from a warm file cache, in turns. The loop only reads; the
build also checks, converts, hashes and writes. "Whole command" is a new process with
its imports. The memory is that of a new process and its workers together; it should be
bounded by a shard and the workers, and not grow with the number of records.

Example: python -m benchmarks.data_prep --raw_dir ptb-xl/ --out data_prep.json
"""

import argparse
import contextlib
import dataclasses
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil
import wfdb

from data_prep import build, cpsc2018, ptbxl

DATA_SETS = {"ptbxl": ptbxl, "cpsc2018": cpsc2018}
PACKAGES = ("joblib", "numpy", "pandas", "scipy", "wfdb")
PLAIN_LOOP = "wfdb.rdsamp loop"
POLL_S = 0.02
BUILD_ONCE = """
import sys
from pathlib import Path
from benchmarks import data_prep

data_set, raw_dir, folder, jobs, copies = sys.argv[1:]
bench = data_prep.Bench(data_set, Path(raw_dir), Path(folder), int(jobs))
bench.build_shards(int(copies))
"""


@dataclasses.dataclass
class Bench:
    """What is measured, and where it may write."""

    data_set: str  # of DATA_SETS
    raw_dir: Path
    folder: Path
    jobs: int

    def __post_init__(self):
        """Reads the tables of the data set once."""
        self.index = DATA_SETS[self.data_set].index(self.raw_dir)

    def rates(self, rounds: int, copies: int) -> dict[str, list[float]]:
        """Returns records per second of each way to read them, by round."""
        count = len(self.index.names)
        ways: dict[str, tuple[Callable[[], object], int]] = {
            PLAIN_LOOP: (self.read_plainly, count),
            "whole command": (self.run_command, count),
            "build": (lambda: self.build_shards(1), count),
            f"build, records x {copies}": (
                lambda: self.build_shards(copies),
                count * copies,
            ),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(rounds + 1):
            for name, (way, num_records) in ways.items():
                start = time.perf_counter()
                way()
                if round_:  # the first round warms the file cache and starts workers
                    seconds = time.perf_counter() - start
                    rates[name].append(num_records / seconds)
        return rates

    def read_plainly(self) -> None:
        """Reads all records one after another, as most scripts do."""
        for path in self.index.paths:
            wfdb.rdsamp(str(path.with_suffix("")))

    def build_shards(self, copies: int) -> None:
        """Builds shards in a fresh folder, of each record `copies` times."""
        index, reading = _repeat(self.index, copies), DATA_SETS[self.data_set].reading()
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as folder,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            build.build(index, reading, Path(folder) / "out", jobs=self.jobs)

    def run_command(self) -> None:
        """Runs the data set's command in a new process."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            flags = ["--raw_dir", str(self.raw_dir), "--out_dir", f"{folder}/out"]
            command = [sys.executable, "-m", DATA_SETS[self.data_set].__name__, *flags]
            subprocess.run(
                [*command, "--jobs", str(self.jobs)], check=True, capture_output=True
            )

    def peak_mib(self, jobs: int, copies: int) -> float:
        """Returns the peak resident memory of a build in a new process."""
        arguments = [self.data_set, self.raw_dir, self.folder, jobs, copies]
        command = [sys.executable, "-c", BUILD_ONCE, *map(str, arguments)]
        process = subprocess.Popen(command)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident_bytes(process.pid))
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


def _resident_bytes(pid: int | None) -> int:
    """Returns the resident memory of a process and all below it.

    Pages they share count several times, so this is an upper bound.
    """
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it ended while it was looked at
    return total


def _machine() -> dict[str, object]:
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def _print_table(rates: dict[str, list[float]], memory: dict[str, float]) -> None:
    plain = statistics.median(rates[PLAIN_LOOP])
    print(f"{'records/s':24}{'median':>9}{'lowest':>9}{'highest':>9}{'times':>7}")
    for name, values in rates.items():
        median = statistics.median(values)
        print(
            f"{name:24}{median:9,.0f}{min(values):9,.0f}{max(values):9,.0f}"
            f"{median / plain:7.1f}"
        )
    for what, mib in memory.items():
        print(f"peak memory, {what}: {mib:,.0f} MiB")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    flags = argparse.ArgumentParser(
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument("--raw_dir", type=Path, required=True, help="raw records")
    flags.add_argument(
        "--data_set",
        choices=tuple(DATA_SETS),
        default="ptbxl",
        help="what is in --raw_dir (default: %(default)s)",
    )
    flags.add_argument(
        "--rounds", type=int, default=5, help="measurements of each (default: 5)"
    )
    flags.add_argument(
        "--jobs", type=int, default=2, help="processes of a build, at most (default: 2)"
    )
    flags.add_argument(
        "--copies",
        type=int,
        default=7,
        help="how often each record stands in the larger build (default: 7, about "
        "PTB-XL made of a seventh of it)",
    )
    flags.add_argument("--out", type=Path, help="JSON file to write (default: none)")
    return flags.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = _parse(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(args.data_set, args.raw_dir, Path(folder), args.jobs)
            data = f"{bench.index.data_set} {bench.index.version}"
            print(
                f"{data}: {len(bench.index.names):,} records, {args.rounds} rounds",
                flush=True,
            )
            rates = bench.rates(args.rounds, args.copies)
            builds = ((1, 1), (1, args.copies), (args.jobs, args.copies))
            memory = {
                f"--jobs {jobs}, records x {copies}": bench.peak_mib(jobs, copies)
                for jobs, copies in builds
            }
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print_table(rates, memory)
    if args.out:
        report = {
            "data": data,
            "records": len(bench.index.names),
            "machine": _machine(),
            "records_per_s": rates,
            "peak_mib": memory,
        }
        args.out.write_text(json.dumps(report, indent=1) + "\n")
        print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
