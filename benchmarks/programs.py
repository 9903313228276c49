"""Compiles training and scoring for an H100 and a TPU v5e that need not be there.

XLA makes the program that would run on the device. It tells how many kernels a step
takes, which bytes they move, how much memory the program needs and how long it takes to
compile. From the bandwidth and the peak arithmetic of the device follow the times that
the bytes take, if no cache holds any of them, and that the arithmetic takes. The time
of a step is not known, as kernels are not tuned without the device. For a TPU there are
no kernels to count: bytes and arithmetic are those of the whole call, as XLA counts.
Its compiler also estimates the cycles of each fusion.

`make .venv/targets` installs the compilers (4 GB), beside the packages of the project.
The whole list takes half an hour on two quiet cores. The results are kept as they come.

Example: python -m benchmarks.programs --targets .venv/targets
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from mrm_jax.runtime import cli, compiler

ROOT = Path(__file__).parents[1]
TARGETS = ROOT / ".venv" / "targets"
RESULTS = harness.RESULTS / "programs.json"


@dataclasses.dataclass(frozen=True)
class Device:
    """Limits of a device, from its maker's data sheet."""

    bandwidth: float  # GB/s
    tflops: dict[str, float]  # by precision, without sparsity


DEVICES = {
    "H100": Device(3350, {"float32": 494, "bfloat16": 989}),  # TF32
    "TPU v5e": Device(819, {"float32": 197, "bfloat16": 197}),
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A program to compile."""

    device: str  # of DEVICES
    work: str
    dtype: str = "float32"
    num_devices: int = 1

    def __str__(self) -> str:
        """Returns the name of the program."""
        count = f"{self.num_devices} x " if self.num_devices > 1 else ""
        return f"{count}{self.device}, {self.work}, {self.dtype}"

    @property
    def flags(self) -> list[str]:
        """The arguments of `benchmarks.compile_for`."""
        tpus = {1: "v5e:1x1", 4: "v5e:2x2"}
        target = "h100" if self.device == "H100" else tpus[self.num_devices]
        words = [target, self.work, "--dtype", self.dtype]
        return [*words, "--devices", str(self.num_devices)]


DTYPES = ("float32", "bfloat16")
PROGRAMS = (
    *(Program("H100", work, d) for work in ("training", "scoring") for d in DTYPES),
    Program("H100", "training", num_devices=4),
    Program("H100", "population"),
    *(Program("TPU v5e", "training", dtype, 4) for dtype in DTYPES),
    *(Program("TPU v5e", "scoring", dtype, 4) for dtype in DTYPES),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles the programs, prints a table and returns the exit status."""
    args = _parse(argv)
    missing = [name for name in ("cuda", "tpu") if not (args.targets / name).is_dir()]
    if missing:
        cli.say_error(
            f"error: {args.targets} has no compilers for {' and '.join(missing)}. "
            "Install them with `make .venv/targets`, or name their folder with "
            "--targets."
        )
        return 2
    failed = False
    for program in PROGRAMS:
        if args.only and str(program) not in args.only:
            continue
        print(f"{program}: compiling", flush=True)
        result = subprocess.run(
            [sys.executable, "-m", "benchmarks.compile_for", *program.flags],
            env=environment(program, args.targets),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=None if args.verbose else subprocess.DEVNULL,
        )
        if result.returncode:
            print(f"{program}: failed with status {result.returncode} (--verbose)")
            failed = True
            continue
        entry = json.loads(result.stdout.splitlines()[-1])
        entry |= times(program, entry)
        print(describe(entry))
        harness.save(args.out or RESULTS, "programs", entry, part=str(program))
    return int(failed)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = harness.flags(__doc__, rounds=None)
    names = [str(program) for program in PROGRAMS]
    help_ = f"programs to compile (default: all): {'; '.join(names)}"
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="PROGRAM", help=help_
    )
    help_ = "folder of the compilers (default: .venv/targets)"
    parser.add_argument("--targets", type=Path, default=TARGETS, help=help_)
    help_ = "print what XLA says while it compiles"
    parser.add_argument("--verbose", action="store_true", help=help_)
    return parser.parse_args(argv)


def environment(program: Program, targets: Path) -> dict[str, str]:
    """Returns the environment in which a program is compiled.

    Args:
        program: the program.
        targets: folder of the compilers.
    """
    is_tpu = program.device != "H100"
    folder = targets.absolute() / ("tpu" if is_tpu else "cuda")
    found = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    if is_tpu:
        flags = compiler.tpu_flags(os.environ.get("LIBTPU_INIT_ARGS"))
        return found | {"TPU_SKIP_MDS_QUERY": "1", "LIBTPU_INIT_ARGS": flags}
    paths = {"LD_LIBRARY_PATH": "lib", "PATH": "bin"}
    for variable, name in paths.items():
        parts = [os.environ.get(variable, ""), *map(str, _nvidia(folder, name))]
        found[variable] = os.pathsep.join(filter(None, parts))
    return found | {"JAX_PLATFORMS": "cpu"}


def _nvidia(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"nvidia/*/{name}"))


def times(program: Program, entry: dict[str, Any]) -> dict[str, float]:
    """Returns how long bytes and arithmetic take at the limits of a device, in ms.

    Args:
        program: the program.
        entry: what it needs, from `benchmarks.compile_for`.
    """
    device = DEVICES[program.device]
    moved = entry["xla_gb"] or entry["moved_gb"]
    found = {"ms_of_bytes": 1e3 * moved / device.bandwidth}
    gflop = entry["xla_gflop"] or entry.get("convolutions_gflop", 0)
    if gflop:
        found["ms_of_arithmetic"] = gflop / device.tflops[program.dtype]
    return found


def describe(entry: dict[str, Any]) -> str:
    """Returns one line on a compiled program."""
    moved = f"{entry['xla_gb']:.1f} GB a call"
    if not entry["xla_gb"]:
        moved = f"{entry['kernels']:,} kernels, {entry['moved_gb']:.1f} GB a step"
    if "cycles" in entry:
        moved = f"{entry['cycles'] / 1e6:.1f} million cycles, {moved}"
    return (
        f"  {moved} ({entry['ms_of_bytes']:.1f} ms without caches), "
        f"{entry['peak_mib']:,.0f} MiB at most, {entry['temporary_mib']:,.0f} MiB "
        f"temporary, {entry['code_mib']:.0f} MiB of code, compiled in "
        f"{entry['compile_s']:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
