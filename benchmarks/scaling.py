"""Measures the cost per record by batch size, samples, labels, devices and records.

One quantity is varied at a time. The measurements of the network take turns in one
process per number of devices. On the CPU the devices are simulated; on a machine with
GPUs they are real. The measurements by number of records cover only the input pipeline
and the metrics, without the network. Only mrm_jax is measured.

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
Sizes = Mapping[str, Sequence[scaling_points.Size]]  # varied quantity -> its points
CHILD = """
import json, sys
from benchmarks import scaling_points, scaling_records
from mrm_jax.runtime import compiler, devices
compiler.set_up()
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
    """Returns the points of each varied quantity."""
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
    """Measures the points of each varied quantity, in one process per device count."""
    wanted = dict.fromkeys(size for points in sizes.values() for size in points)
    measured: dict[scaling_points.Size, dict[str, Any]] = {}
    for devices in sorted({size.devices for size in wanted}):
        here = [size for size in wanted if size.devices == devices]
        print(f"network: {len(here)} points, devices: {devices}", flush=True)
        found = _run(
            "points",
            devices,
            sizes=[dataclasses.asdict(size) for size in here],
            round_records=args.round_records,
            rounds=args.rounds,
        )
        if not found:
            print(f"skipped: the number of devices in JAX is not {devices}")
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
    """Runs measurements in a new process with the given number of devices."""
    command = [sys.executable, "-c", CHILD, module, json.dumps(arguments)]
    result = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env=environment(devices)
    )
    return json.loads(result.stdout.splitlines()[-1])


def environment(devices: int) -> dict[str, str]:
    """Returns an environment in which JAX finds the given number of devices."""
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
        help="quantities to vary (default: all)",
    )
    parser.add_argument(
        "--base",
        type=int,
        nargs=3,
        metavar=("BATCH", "SAMPLES", "LABELS"),
        default=[96, 1000, 71],
        help="values of the quantities that are not varied (default: %(default)s)",
    )
    lists = {
        "batches": ([8, 32, 96, 256], "batch sizes, over all devices"),
        "samples": ([1000, 5000], "samples per record, with --samples_batch"),
        "labels": ([5, 9, 71, 300], "numbers of labels"),
        "devices": ([1, 2, 4], "numbers of devices; other points use the first"),
        "records": ([2000, 20000], "numbers of records for input and metrics"),
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
        help="batch size while --samples is varied, because long records need more "
        "memory (default: %(default)s)",
    )
    parser.add_argument(
        "--round_records",
        type=int,
        default=16,
        help="records in a round, at least one batch (default: %(default)s)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
