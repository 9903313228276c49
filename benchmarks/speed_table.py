"""Tables of rates in docs/benchmarks.md and docs/speed.md."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import markdown

BENCHMARKS = {
    "train_step": ("records_per_second", "training, records/s"),
    "score_step": ("records_per_second", "scoring, records/s"),
    "epoch": ("records_per_second", "whole epoch, training records/s"),
    "startup": ("seconds", "first step after, s"),
}
COLUMNS = (
    "device, work, implementation, median, range, ratio to PyTorch eager, "
    "range of the ratio"
)


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the Markdown table of rates and ratios.

    Args:
        results: file -> benchmark -> entry, from the files written by `harness.save`;
            other files are ignored.
    """
    rows = [row for content in results.values() for row in _rows(content)]
    return markdown.table(COLUMNS.split(", "), rows)


def hardware(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the table of device use, as measured by `benchmarks.hardware`."""
    columns = "device, size, work, GFLOP/s, GB/s, of the arithmetic, of the copy"
    rows = [
        [
            markdown.device(content["hardware"]["machine"]),
            size,
            work,
            f"{row['gflop_per_s']:,.0f}",
            f"{row['gb_per_s']:,.1f}",
            f"{row['share_of_arithmetic']:.0%}",
            f"{row['share_of_copy']:.0%}",
        ]
        for content in results.values()
        if "hardware" in content
        for size, found in content["hardware"]["used"].items()
        for work, row in found.items()
    ]
    return markdown.table(columns.split(", "), rows)


def _rows(content: Mapping[str, Any]) -> Iterator[list[str]]:
    for benchmark, (unit, title) in BENCHMARKS.items():
        if benchmark not in content:
            continue
        entry = content[benchmark]
        device = markdown.device(entry["machine"])
        for size, ways in entry[unit].items():
            for way, row in ways.items():
                yield [
                    device,
                    f"{title}: {size}",
                    way,
                    f"{row['median']:,.1f}",
                    f"{row['lowest']:,.1f}–{row['highest']:,.1f}",
                    f"{row['ratio']:.2f}",
                    f"{row['lowest_ratio']:.2f}–{row['highest_ratio']:.2f}",
                ]
