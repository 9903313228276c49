"""Measures how the preparation of many records grows, and goes on after a kill.

The records are short and synthetic: WFDB files of noise at 100 Hz, and a table of
labels. `python -m data_prep.table` prepares a quarter of them and all, which shows
whether the memory grows. Then it is killed when half of the shards are written, and
started again, which must write the same bytes.

Example: python -m benchmarks.preparation_growth --records 100000
"""

import dataclasses
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness, label_tables, preparation
from data_prep import shard_writer
from mrm_jax.data import leads, manifest
from mrm_jax.runtime import cli

RATE = 100  # Hz
SIGNALS = 50  # different ones, which the records share
PER_FOLDER = 1000
LABELS = 5
SAMPLE_BYTES = 2
MIN_SHARDS = 8  # so that a quarter has two
POLL_S = 0.02


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__, rounds=None)
    parser.add_argument("--records", type=int, default=100_000, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.5, help="(%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--folder", help="for temporary files (default: the system's)")
    args = parser.parse_args(argv)
    record_bytes = round(args.seconds * RATE) * len(leads.LEADS) * SAMPLE_BYTES
    if args.records * record_bytes < MIN_SHARDS * shard_writer.SHARD_BYTES:
        cli.say_error(f"error: --records: expected enough for {MIN_SHARDS} shards")
        return 1
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        entry = _measure(Bench(Path(temporary), args.seconds, args.jobs), args.records)
    for found in entry["builds"]:
        first, *_, last = found["mib_at_shard"].values()
        print(
            f"{found['records']:,} records: {found['seconds']:,.1f} s, "
            f"{found['records_per_second']:,.0f} records/s, resident memory "
            f"{first:,.0f} MiB after the first shard, {last:,.0f} MiB after the last "
            f"full one, {found['peak_mib']:,.0f} MiB at most"
        )
    print(
        f"killed after {entry['killed_after_s']:.1f} s and started again: "
        f"{entry['resumed_s']:.1f} s, goes on: {entry['goes_on']}, "
        f"same bytes: {entry['same_bytes']}"
    )
    part = f"{args.records} records of {args.seconds:g} s"
    harness.save(args.out, "preparation_growth", entry, part=part)
    return 0 if entry["goes_on"] and entry["same_bytes"] else 1


@dataclasses.dataclass(frozen=True)
class Bench:
    """A folder of records and their table, and how they are prepared."""

    folder: Path
    seconds: float  # length of a record
    jobs: int

    def write(self, count: int) -> None:
        """Writes records and their table."""
        write_records(self.folder / "ecgs", count, round(self.seconds * RATE))
        self.write_table(count)

    def write_table(self, count: int) -> None:
        """Writes a table of the first records."""
        path = self.folder / "labels.csv"
        label_tables.write_table(path, count, LABELS, record_name)

    def build(self, name: str, stop_at: int | None = None) -> dict[str, Any]:
        """Prepares the records of the table in a new process.

        Args:
            name: name of the folder of shards.
            stop_at: number of finished shards at which the process is killed.

        Returns:
            Its seconds, its peak resident memory, and that memory when each shard was
            finished.

        Raises:
            RuntimeError: if the process fails.
        """
        words = [sys.executable, "-m", "data_prep.table", "--name", "noise"]
        words += ["--labels", str(self.folder / "labels.csv")]
        words += ["--records", str(self.folder / "ecgs")]
        words += ["--out", str(self.folder / name), "--jobs", str(self.jobs)]
        words += ["--duration", str(self.seconds)]
        unfinished = self.folder / f".{name}.building"
        start, peak = time.perf_counter(), 0.0
        at_shard: dict[int, float] = {}
        output = self.folder / f"{name}.txt"
        with output.open("w") as said, subprocess.Popen(words, stdout=said) as process:
            while process.poll() is None:
                mib = preparation.resident_bytes(process.pid) / 2**20
                shards = len(list(unfinished.glob("progress-signals-*")))
                peak = max(peak, mib)
                if shards:
                    at_shard.setdefault(shards, mib)
                if stop_at is not None and shards >= stop_at:
                    process.kill()
                    break
                time.sleep(POLL_S)
        if process.returncode > 0:
            raise RuntimeError(f"status {process.returncode}: {shlex.join(words)}")
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "peak_mib": peak,
            "mib_at_shard": at_shard,
            "goes_on": "going on after" in output.read_text(),
        }

    def hashes(self, name: str) -> dict[str, str]:
        """Returns the SHA-256 of the files of a finished build."""
        return json.loads((self.folder / name / manifest.MANIFEST).read_text())["files"]


def _measure(bench: Bench, num_records: int) -> dict[str, Any]:
    bench.write(num_records)
    builds = []
    for count in (num_records // 4, num_records):
        bench.write_table(count)
        found = bench.build(f"shards{count}")
        found["records_per_second"] = count / found["seconds"]
        builds.append({"records": count} | found)
    halfway = max(1, max(builds[-1]["mib_at_shard"]) // 2)
    killed_after_s = bench.build("killed", stop_at=halfway)["seconds"]
    resumed = bench.build("killed")
    return {
        "jobs": bench.jobs,
        "builds": builds,
        "killed_after_s": killed_after_s,
        "resumed_s": resumed["seconds"],
        "goes_on": resumed["goes_on"],
        "same_bytes": bench.hashes("killed") == bench.hashes(f"shards{num_records}"),
    }


def record_name(number: int) -> str:
    """Returns the path of a record in its folder."""
    return f"p{number // PER_FOLDER:04}/r{number:07}"


def write_records(folder: Path, count: int, num_samples: int) -> None:
    """Writes WFDB records of noise; the same numbers give the same files."""
    rng = np.random.default_rng(0)
    signals = rng.normal(0, 200, (SIGNALS, num_samples, len(leads.LEADS)))
    # Einthoven's law holds, or the records would be kept with doubts.
    one, two = signals[..., 0], signals[..., 1]
    signals[..., 2] = two - one
    signals[..., 3], signals[..., 4] = -(one + two) / 2, one - two / 2
    signals[..., 5] = two - one / 2
    contents = [signal.round().astype("<i2").tobytes() for signal in signals]
    for number in range(count):
        path = folder / record_name(number)
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        lines = [f"{path.name} {len(leads.LEADS)} {RATE} {num_samples}"]
        lines += [
            f"{path.name}.dat 16 1000/mV 16 0 0 0 0 {name}" for name in leads.LEADS
        ]
        path.with_suffix(".hea").write_text("\n".join(lines) + "\n")
        path.with_suffix(".dat").write_bytes(contents[number % SIGNALS])


if __name__ == "__main__":
    sys.exit(main())
