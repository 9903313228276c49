"""Measures how a large table of labels is read and divided into folds.

The table is synthetic: ten records of each patient on average, and labels of which each
is rarer than the one before. There are no signals, so nothing is prepared; the command
that is measured is `python -m data_prep.table` in its dry run.

Example: python -m benchmarks.label_tables --rows 800000
"""

import csv
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import harness

RECORDS_PER_PATIENT = 10
PARTS = 1000  # rows that are drawn at once
KIB_PER_GIB = 2**20


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__)
    parser.add_argument("--rows", type=int, default=800_000, help="(%(default)s)")
    parser.add_argument("--labels", type=int, default=20, help="(%(default)s)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_table(folder / "labels.csv", args.rows, args.labels)
        entry = measure(folder) | {"rows": args.rows, "labels": args.labels}
    print(
        f"{args.rows:,} rows, {args.labels} labels: {entry['seconds']:.1f} s "
        f"({entry['cpu_seconds']:.1f} s of CPU time), {entry['peak_gib']:.2f} GiB"
    )
    harness.save(args.out, "label_tables", entry, part=f"{args.rows} rows")
    return 0


def write_table(
    path: Path,
    num_rows: int,
    num_labels: int,
    name: Callable[[int], str] = "files/s{:08}".format,
) -> None:
    """Writes a table of labels; the same arguments give the same table.

    Args:
        path: CSV file to write.
        num_rows: number of records.
        num_labels: number of labels.
        name: returns the path of a record, from its row.
    """
    rng = np.random.default_rng(0)
    shares = 0.5 ** (1 + np.arange(num_labels) / 3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        labels = [f"label{number:02}" for number in range(num_labels)]
        writer.writerow(["path", "subject_id", "age", *labels])
        for start in range(0, num_rows, PARTS):
            size = min(PARTS, num_rows - start)
            patients = rng.integers(0, 1 + num_rows // RECORDS_PER_PATIENT, size)
            flags = (rng.random((size, num_labels)) < shares).astype(int)
            for row in range(size):
                words = [name(start + row), patients[row], 50]
                writer.writerow([*words, *flags[row].tolist()])


def measure(folder: Path) -> dict[str, float]:
    """Reads the table of a folder in a new process; returns its time and memory."""
    words = [sys.executable, "-m", "data_prep.table", "--dry_run"]
    words += ["--labels", str(folder / "labels.csv"), "--records", str(folder)]
    words += ["--out", str(folder / "shards")]
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_gib": used.ru_maxrss / KIB_PER_GIB,
    }


if __name__ == "__main__":
    sys.exit(main())
