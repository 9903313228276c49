"""Measures the speed of data preparation against a plain `wfdb.rdsamp` loop.

Both read the same records from a warm file cache, in turns. The loop only reads. The
build also checks, converts, hashes and writes. "Whole command" is a new process,
including its imports. The memory is measured for a new process together with its
workers. It should be bounded by the size of a shard and the number of workers, and not
grow with the number of records.

Example: python -m benchmarks.data_prep --raw_dir ptb-xl/
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, preparation


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = _parse(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = preparation.Bench(
                args.data_set, args.raw_dir, Path(folder), args.jobs
            )
            name = args.name or bench.name
            count = len(bench.index.names)
            print(f"{name}: {count:,} records, {args.rounds} rounds", flush=True)
            entry = _measure(bench, args.rounds, args.copies)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    harness.print_table(f"records/s: {name}", entry["records_per_second"])
    for what, mib in entry["peak_mib"].items():
        print(f"peak memory, {what}: {mib:,.0f} MiB")
    harness.save(args.out, "data_prep", entry, part=name)
    return 0


def _measure(bench: preparation.Bench, rounds: int, copies: int) -> dict[str, Any]:
    ways = bench.ways(copies)
    seconds = harness.alternate({name: way for name, (way, _) in ways.items()}, rounds)
    # Seconds for each record once, so that all methods are compared on equal work.
    once = {
        name: [value / times for value in seconds[name]]
        for name, (_, times) in ways.items()
    }
    count = len(bench.index.names)
    builds = ((1, 1), (1, copies), (bench.jobs, copies))
    return {
        "records": count,
        "rounds": rounds,
        "records_per_second": harness.compare(once, count, preparation.PLAIN_LOOP),
        "peak_mib": {
            f"--jobs {jobs}, records x {times}": bench.peak_mib(jobs, times)
            for jobs, times in builds
        },
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = harness.flags(__doc__)
    parser.add_argument(
        "--raw_dir", type=Path, required=True, help="folder of the raw records"
    )
    parser.add_argument(
        "--data_set",
        choices=tuple(preparation.DATA_SETS),
        default="ptbxl",
        help="layout of --raw_dir (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        help="name under which the results are stored (default: the data set and its "
        "version)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        help="largest number of processes in a build (default: %(default)s)",
    )
    parser.add_argument(
        "--copies",
        type=int,
        default=7,
        help="number of copies of each record in the larger build (default: "
        "%(default)s, which gives about PTB-XL from a seventh of it)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
