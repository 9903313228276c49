"""Measures vectorised runs: how they share a device and scale over devices.

Populations of several sizes train the full network on noise, in turns, with every
batching that lets slots share a device. Then one population is trained on one, two and
four devices, which are simulated on the CPU. A population with one slot is a single
run, to which the others are compared. "map" is a loop within the program. It is omitted
on the CPU, where convolutions in loops run about 60 times slower.

Example: python -m benchmarks.population --sizes 1 4 --batch 32
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import jax

from benchmarks import harness, population_tables, scaling
from mrm_jax.sweeps import vectorised

CHILD = """
import json, sys
from benchmarks import population_points
from mrm_jax.runtime import compiler, devices
compiler.set_up()
print(json.dumps(population_points.measure(**json.loads(sys.argv[1]))))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = _parse(argv)
    load = {
        "batch": args.batch,
        "labels": args.labels,
        "samples": args.samples,
        "batches": args.steps,
    }
    try:
        points = _run(1, args.sizes, args.batchings, load, args.rounds)
        spread = [
            point
            for devices in args.devices
            for point in _run(
                devices, [args.spread], args.batchings[:1], load, args.rounds
            )
        ]
    except subprocess.CalledProcessError as error:
        print(f"error: a measuring process failed: {error}", file=sys.stderr)
        return 1
    entry = {"load": load, "rounds": args.rounds, "points": points, "spread": spread}
    shown = {"this machine": {"population": {"machine": harness.machine(), **entry}}}
    for make in (population_tables.ways, population_tables.devices):
        print(f"\n{make(shown)}")
    harness.save(args.out, "population", entry)
    return 0


def _run(
    devices: int,
    sizes: Sequence[int],
    ways: Sequence[str],
    load: dict[str, int],
    rounds: int,
) -> list[dict[str, Any]]:
    """Measures populations in a new process with the given number of devices."""
    print(f"{sizes} slots by {', '.join(ways)}, devices: {devices}", flush=True)
    arguments = {"sizes": sizes, "ways": ways, "load": load, "rounds": rounds}
    result = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(arguments)],
        check=True,
        stdout=subprocess.PIPE,
        env=scaling.environment(devices),
    )
    return json.loads(result.stdout.splitlines()[-1])


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = harness.flags(__doc__, rounds=3)
    on_cpu = jax.default_backend() == "cpu"
    ways = [
        batching
        for batching in vectorised.BATCHINGS
        if not (on_cpu and batching == "map")
    ]
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="slot counts")
    add(
        "--batchings",
        nargs="+",
        choices=vectorised.BATCHINGS,
        default=sorted(
            ways, key=lambda batching: batching != vectorised.resolve_batching(None)
        ),
        help="how slots share a device; the first one is also measured on several "
        "devices (default: %(default)s)",
    )
    # On most CPU machines, sixteen slots of 96 records would not fit in memory.
    batch = 32 if on_cpu else 96
    add("--batch", type=int, default=batch, help="per slot (default: %(default)s)")
    add("--labels", type=int, default=71, help="outputs (default: %(default)s)")
    add("--samples", type=int, default=1000, help="per record (default: %(default)s)")
    add("--steps", type=int, default=1, help="per round (default: %(default)s)")
    add("--devices", type=int, nargs="*", default=[1, 2, 4], help="device counts")
    add("--spread", type=int, default=4, help="number of slots on several devices")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
