"""Records per second of preparing a data set, beside a plain `wfdb.rdsamp` loop.

Both read the same records from a warm file cache, in turns. The loop only reads; the
build also checks, converts, hashes and writes. "Whole command" is a new process with
its imports. The memory is that of a new process and its workers together; it should be
bounded by a shard and the workers, and not grow with the number of records.

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
    # Of the records once, so that all ways do the same work.
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
    parser.add_argument("--raw_dir", type=Path, required=True, help="raw records")
    parser.add_argument(
        "--data_set",
        choices=tuple(preparation.DATA_SETS),
        default="ptbxl",
        help="the layout of --raw_dir (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        help="of the results among those of other data sets (default: the data set and "
        "its version)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        help="processes of a build, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--copies",
        type=int,
        default=7,
        help="how often each record stands in the larger build (default: %(default)s, "
        "about PTB-XL made of a seventh of it)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
