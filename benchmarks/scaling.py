"""What a record costs as the work grows: batch, samples, labels, devices, records.

One thing is varied at a time. The network's points take turns in one process for each
number of devices: on the CPU devices are simulated, on a machine with GPUs they are its
own. The records' points leave the network out and measure what feeds it, and the
metrics. Only mrm_jax is measured.

Example: python -m benchmarks.scaling --vary batch devices
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import harness, scaling_points, scaling_tables

VARIED = (*scaling_points.VARIED, "records")
Sizes = Mapping[str, Sequence[scaling_points.Size]]  # what is varied -> its points
CHILD = """
import json, sys
from benchmarks import scaling_points, scaling_records
from mrm_jax.runtime import devices
devices.use_compilation_cache()
module, arguments = sys.argv[1:]
measure = {"points": scaling_points, "records": scaling_records}[module].measure
print(json.dumps(measure(**json.loads(arguments))))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = _parse(argv)
    batch, samples, labels = args.base
    base = scaling_points.Size(batch, samples, labels, args.devices[0])
    print(f"measures {', '.join(args.vary)} around {base}", flush=True)
    try:
        points = _measure_points(_sizes(args, base), args)
        records = _measure_records(base, args) if "records" in args.vary else []
    except subprocess.CalledProcessError as error:
        print(f"error: a measuring process failed: {error}", file=sys.stderr)
        return 1
    entry = {"rounds": args.rounds, "points": points, "records": records}
    shown = {"this machine": {"scaling": {"machine": harness.machine(), **entry}}}
    for name in scaling_tables.OF_THE_BENCHMARK:
        print(f"\n{scaling_tables.TABLES[name](shown)}")
    harness.save(args.out, "scaling", entry)
    return 0


def _sizes(args: argparse.Namespace, base: scaling_points.Size) -> Sizes:
    """Returns the points of each thing that is varied."""
    middle = dataclasses.replace(base, batch=args.samples_batch)
    found = {
        "batch": [dataclasses.replace(base, batch=n) for n in args.batches],
        "samples": [dataclasses.replace(middle, samples=n) for n in args.samples],
        "labels": [dataclasses.replace(base, labels=n) for n in args.labels],
        "devices": [dataclasses.replace(base, devices=n) for n in args.devices],
    }
    return {name: sizes for name, sizes in found.items() if name in args.vary}


def _measure_points(
    sizes: Sizes, args: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Returns what was measured, by what is varied; a process per number of devices."""
    wanted = dict.fromkeys(size for points in sizes.values() for size in points)
    measured: dict[scaling_points.Size, dict[str, Any]] = {}
    for devices in sorted({size.devices for size in wanted}):
        here = [size for size in wanted if size.devices == devices]
        print(f"{len(here)} points of the network, devices: {devices}", flush=True)
        found = _run(
            "points",
            devices,
            sizes=[dataclasses.asdict(size) for size in here],
            round_records=args.round_records,
            rounds=args.rounds,
        )
        if not found:
            print(f"left out: JAX shows another number of devices than {devices}")
        measured |= dict(zip(here, found, strict=False))
    return {
        name: [measured[size] for size in points if size in measured]
        for name, points in sizes.items()
    }


def _measure_records(
    base: scaling_points.Size, args: argparse.Namespace
) -> list[dict[str, Any]]:
    print(f"input and metrics of {args.records} records", flush=True)
    load = {"batch": base.batch, "labels": base.labels, "samples": base.samples}
    return _run(
        "records", base.devices, counts=args.records, load=load, rounds=args.rounds
    )


def _run(module: str, devices: int, **arguments: Any) -> list[dict[str, Any]]:
    """Returns what a new process measures that has so many devices."""
    command = [sys.executable, "-c", CHILD, module, json.dumps(arguments)]
    result = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env=environment(devices)
    )
    return json.loads(result.stdout.splitlines()[-1])


def environment(devices: int) -> dict[str, str]:
    """Returns this process's environment, with so many CPU devices and GPUs in it."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = map(str, range(devices)) if shown is None else shown.split(",")
    flags = os.environ.get("XLA_FLAGS", "")
    return os.environ | {
        "CUDA_VISIBLE_DEVICES": ",".join(list(gpus)[:devices]),
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = harness.flags(__doc__, rounds=3)
    parser.add_argument(
        "--vary",
        nargs="+",
        choices=VARIED,
        default=list(VARIED),
        help="what is varied (default: all)",
    )
    parser.add_argument(
        "--base",
        type=int,
        nargs=3,
        metavar=("BATCH", "SAMPLES", "LABELS"),
        default=[96, 1000, 71],
        help="what stays the same while another is varied (default: %(default)s)",
    )
    lists = {
        "batches": ([8, 32, 96, 256], "records at once, over all devices"),
        "samples": ([1000, 5000], "of a record, at --samples_batch"),
        "labels": ([5, 9, 71, 300], "outputs"),
        "devices": ([1, 2, 4], "the first is that of all other points"),
        "records": ([2000, 20000], "of the input and the metrics"),
    }
    for name, (default, what) in lists.items():
        parser.add_argument(
            f"--{name}",
            type=int,
            nargs="+",
            default=default,
            help=f"{what} (default: %(default)s)",
        )
    parser.add_argument(
        "--samples_batch",
        type=int,
        default=16,
        help="batch while --samples are varied, as long records need more memory "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--round_records",
        type=int,
        default=16,
        help="records of a round, at least a batch (default: %(default)s)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
