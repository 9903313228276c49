"""Table of compiled programs in docs/accelerators.md."""

from collections.abc import Mapping
from typing import Any

from benchmarks import markdown, programs

COLUMNS = (
    "program, kernels a step, million cycles, GB, at full bandwidth, "
    "at full arithmetic, peak memory, temporary, code, to compile"
)


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the Markdown table of the programs that were compiled.

    Args:
        results: file -> benchmark -> entry, from the files written by `harness.save`;
            files without programs are ignored.
    """
    found = [
        content["programs"] for content in results.values() if "programs" in content
    ]
    compiled = {name: entry for part in found for name, entry in part.items()}
    names = [str(program) for program in programs.PROGRAMS]
    rows = [_row(name, compiled[name]) for name in names if name in compiled]
    return markdown.table(COLUMNS.split(", "), rows)


def _row(name: str, entry: Mapping[str, Any]) -> list[str]:
    moved = f"{entry['xla_gb']:,.1f} a call"
    if not entry["xla_gb"]:
        moved = f"{entry['moved_gb']:,.1f} a step"
    return [
        name,
        f"{entry['kernels']:,}" if "kernels" in entry else "",
        f"{entry['cycles'] / 1e6:.1f}" if "cycles" in entry else "",
        moved,
        f"{entry['ms_of_bytes']:,.1f} ms",
        f"{entry['ms_of_arithmetic']:,.1f} ms" if "ms_of_arithmetic" in entry else "",
        f"{entry['peak_mib']:,.0f} MiB",
        f"{entry['temporary_mib']:,.0f} MiB",
        f"{entry['code_mib']:,.0f} MiB" if entry["code_mib"] else "",
        markdown.duration(entry["compile_s"]),
    ]
