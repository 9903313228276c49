"""Shared benchmark code: alternating rounds, tables and a JSON file per machine."""

import argparse
import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import psutil

from benchmarks import load as loads
from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import cli

RESULTS = Path(__file__).parent / "results"
CPU_INFO = Path("/proc/cpuinfo")  # the only place where Linux names the CPU
PACKAGES = (
    *("jax", "jaxlib", "flax", "numpy", "torch", "mrm_jax"),
    *("scikit-learn", "joblib", "pandas", "scipy", "wfdb"),
)
Rows = dict[str, dict[str, float]]
Seconds = dict[str, list[float]]  # method -> seconds of each round


def alternate(
    ways: Mapping[str, Callable[[], object]], rounds: int, settle: bool = False
) -> Seconds:
    """Times several methods in turns and returns the seconds of each round.

    Other work on the machine slows all methods alike, so that their ratios are more
    reliable than their rates. One additional round before the others compiles and warms
    up. It is not counted.

    Args:
        ways: functions to time by name; each finishes its work before it returns.
        rounds: number of counted rounds.
        settle: whether to call each function once, uncounted, before each of its timed
            calls. In a shared process, the first step of a method after another one
            took up to twice as long as its second step, because memory that the other
            method released has to be mapped again.
    """
    seconds: Seconds = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            if settle:
                way()
            start = time.perf_counter()
            way()
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def compare(seconds: Seconds, work: float, base: str) -> Rows:
    """Returns rates and ratios of every method.

    Args:
        seconds: result of `alternate`.
        work: amount of work that each method does in one round, in the table's unit.
        base: method to which the others are compared, round by round.

    Returns:
        method -> "median", "lowest" and "highest" rate in work per second, median
        "ratio", "lowest_ratio" and "highest_ratio".
    """
    return _compare(
        {name: [work / s for s in values] for name, values in seconds.items()},
        seconds,
        base,
    )


def compare_seconds(seconds: Seconds, base: str) -> Rows:
    """Returns times and ratios of every method; a ratio of 2 means half the time."""
    return _compare(seconds, seconds, base)


def _compare(shown: Seconds, seconds: Seconds, base: str) -> Rows:
    found = {}
    for name, values in seconds.items():
        rates = shown[name]
        ratios = [b / v for b, v in zip(seconds[base], values, strict=True)]
        found[name] = {
            "median": statistics.median(rates),
            "lowest": min(rates),
            "highest": max(rates),
            "ratio": statistics.median(ratios),
            "lowest_ratio": min(ratios),
            "highest_ratio": max(ratios),
        }
    return found


def print_table(title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    """Prints the result of `compare` as a table."""
    print(f"\n{title}\n{'':20}{'median':>10}{'range':>18}{'ratio':>8}{'range':>18}")
    for name, row in found.items():
        rates = f"{row['lowest']:,.1f} - {row['highest']:,.1f}"
        ratios = f"{row['lowest_ratio']:.2f} - {row['highest_ratio']:.2f}"
        line = f"{row['median']:10,.1f}{rates:>18}{row['ratio']:8.2f}{ratios:>18}"
        print(f"{name:20}{line}", flush=True)


def machine() -> dict[str, Any]:
    """Returns what the measurements depend on: processor, devices and versions."""
    return {
        "device": jax.local_devices()[0].device_kind,
        "devices": jax.local_device_count(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": dict(_versions()),
    }


def device_name() -> str:
    """Returns the name of this machine's results file, without its suffix."""
    kind = jax.local_devices()[0].device_kind
    if jax.default_backend() == "cpu":
        kind = f"cpu {os.cpu_count()} cores"
    return "_".join(kind.lower().split())


def save(
    out: Path | None,
    benchmark: str,
    entry: Mapping[str, Any],
    part: str | None = None,
) -> None:
    """Writes the entry of a benchmark to the results file and keeps all other entries.

    Args:
        out: results file, or None for RESULTS / device_name().json.
        benchmark: name of the benchmark.
        entry: measurements, as JSON values.
        part: name of the part that was measured, if a benchmark has several entries.
    """
    path = out or RESULTS / f"{device_name()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.loads(path.read_text()) if path.exists() else {}
    measured = {"machine": machine(), **entry}
    if part is None:
        content[benchmark] = measured
    else:
        content.setdefault(benchmark, {})[part] = measured
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    print(f"written: {path}")


def flags(doc: str | None, rounds: int | None = 5) -> argparse.ArgumentParser:
    """Returns a parser with the flags that all benchmarks have.

    Args:
        doc: docstring of the command.
        rounds: default number of rounds, or None for a benchmark without rounds.
    """
    summary, _, rest = (doc or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog=cli.program(),
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if rounds is not None:
        help_ = "number of counted rounds (default: %(default)s)"
        parser.add_argument("--rounds", type=int, default=rounds, help=help_)
    parser.add_argument(
        "--out",
        type=Path,
        help="results file (default: benchmarks/results/DEVICE.json)",
    )
    return parser


def add_network_flags(parser: argparse.ArgumentParser, batches: Sequence[int]) -> None:
    """Adds the flags of benchmarks that run the network."""
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=list(batches),
        help="batch sizes (default: %(default)s)",
    )
    parser.add_argument(
        "--labels", type=int, default=71, help="number of labels (default: %(default)s)"
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=1000,
        help="number of samples per record (default: %(default)s)",
    )


def add_config_flag(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of benchmarks that run an experiment."""
    parser.add_argument(
        "--config",
        default="experiments/demo.py",
        help="experiment; --config.NAME=VALUE overrides its values (default: "
        "%(default)s)",
    )


def add_dtype_flag(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of benchmarks that compare precisions."""
    parser.add_argument(
        "--dtypes",
        nargs="+",
        choices=network.COMPUTE_DTYPES,
        default=["float32"],
        help="dtypes of the feature maps between layers (default: %(default)s)",
    )


def describe(load: loads.Load, dtype: str = "float32") -> str:
    """Returns a description of the size of the work, for tables."""
    size = f"batch {load.batch}, {load.labels} labels, {load.samples} samples"
    return size if dtype == "float32" else f"{size}, {dtype}"


def _versions() -> Iterator[tuple[str, str]]:
    """Yields the names and versions of the packages that are installed."""
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def processor() -> str:
    """Returns the name of the CPU."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()
