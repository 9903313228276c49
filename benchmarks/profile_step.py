"""Profiles a training step: time by kernel and by part of the network, and gaps.

It traces warm calls with JAX's profiler and adds up the times of the kernels that ran
on the device. The rest of the wall time is gaps, in which the device waits for the next
launch. It needs an accelerator, because no kernels are visible on the CPU.

Example: python -m benchmarks.profile_step --dtypes float32 bfloat16
"""

import collections
import itertools
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import harness, jax_side
from benchmarks import load as loads

SHOWN = 40
# Wrappers that XLA and JAX add to module names in an operation's path.
WRAPPED = re.compile(r"(\w+)\((.*)\)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__, rounds=None)
    harness.add_network_flags(parser, (96,))
    harness.add_dtype_flag(parser)
    help_ = "number of steps to trace, all in one call (default: %(default)s)"
    parser.add_argument("--steps", type=int, default=40, help=help_)
    args = parser.parse_args(argv)
    if jax.default_backend() == "cpu":
        print("error: this needs an accelerator, found only the CPU", file=sys.stderr)
        return 2
    found = {}
    for batch, dtype in itertools.product(args.batches, args.dtypes):
        load = loads.Load(batch, args.labels, args.samples, args.steps)
        size = harness.describe(load, dtype)
        found[size] = _profile(load, dtype)
        _print(size, found[size])
    harness.save(args.out, "profile", {"steps": args.steps, "profiles": found})
    return 0


def _profile(load: loads.Load, dtype: str) -> dict[str, Any]:
    """Returns the times of one training step, in microseconds."""
    side = jax_side.JaxSide(load, compute_dtype=dtype)
    paths = _paths(side.program("training"))
    side.train()
    side.train()
    start = time.perf_counter()
    side.train()
    wall_us = 1e6 * (time.perf_counter() - start) / load.batches
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            side.train()
        events = list(_device_events(next(Path(folder).rglob("*.xplane.pb"))))
    totals: dict[str, collections.Counter[str]] = {
        kind: collections.Counter() for kind in ("kernel", "part", "direction")
    }
    counts = collections.Counter[str]()
    for name, operation, nanoseconds in events:
        direction, part = _origin(operation, paths)
        for kind, key in (("kernel", name), ("part", part), ("direction", direction)):
            totals[kind][key] += nanoseconds / 1e3 / load.batches  # type: ignore[assignment]
        counts[name] += 1
    return {
        "wall_us": wall_us,
        "kernels_us": sum(totals["kernel"].values()),
        "kernels": sum(counts.values()) / load.batches,
        "by_kernel": [
            {"kernel": name, "us": us, "calls": counts[name] / load.batches}
            for name, us in totals["kernel"].most_common(SHOWN)
        ],
        "by_part": dict(totals["part"].most_common(SHOWN)),
        "by_direction": dict(totals["direction"].most_common()),
    }


def _device_events(path: Path) -> Iterator[tuple[str, str, float]]:
    """Yields (kernel, operation of the program, nanoseconds) for a trace."""
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        if not plane.name.startswith("/device:"):
            continue
        for line in plane.lines:
            if not line.name.startswith("Stream"):
                continue
            for event in line.events:
                facts = dict(event.stats)
                operation = str(facts.get("hlo_op", ""))
                yield _short(event.name), operation, event.duration_ns


def _short(kernel: str) -> str:
    """Returns the name of a kernel without the number of its copy."""
    return re.sub(r"(_\d+)+$", "", kernel.split("(")[0])[:100]


def _paths(program: str) -> dict[str, str]:
    """Returns operation -> path of the modules it comes from, in a compiled program."""
    found = re.findall(r'%?([\w.\-]+) = .*?op_name="([^"]*)"', program)
    return dict(found)


def _origin(operation: str, paths: dict[str, str]) -> tuple[str, str]:
    """Returns the direction and the part of the network of an operation."""
    if operation not in paths:
        kind = re.sub(r"[.\d]+$", "", operation)
        return "unknown", f"unknown: {kind or 'no operation'}"
    path = paths[operation]
    backward = "transpose(" in path
    names = list(_names(path.split("/")))
    inside = names[names.index("MRMNet") + 1 :] if "MRMNet" in names else []
    if not inside:
        return "outside the network", f"outside: {'/'.join(names[-2:])}"
    return ("backward" if backward else "forward"), "/".join(inside[:2])


def _names(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        while found := WRAPPED.fullmatch(part):
            part = found.group(2)
        yield part


def _print(size: str, found: dict[str, Any]) -> None:
    print(f"\nprofile of a training step: {size}")
    print(
        f"wall {found['wall_us']:,.0f} µs, kernels {found['kernels_us']:,.0f} µs in "
        f"{found['kernels']:,.0f} calls"
    )
    for row in found["by_kernel"]:
        print(f"{row['us']:10,.1f} µs {row['calls']:7.1f} x  {row['kernel']}")
    for kind in ("by_part", "by_direction"):
        print(", ".join(f"{name} {us:,.0f}" for name, us in found[kind].items()))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
