"""Writes the README's table of speed from the files in benchmarks/results/.

Between the lines SPEED and END of README.md; with --check it only compares and leaves
with status 1 if they differ.

Example: python -m benchmarks.readme_table
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness

README = Path(__file__).parents[1] / "README.md"
SPEED, END = "<!-- speed -->", "<!-- end of speed -->"
BENCHMARKS = {
    "train_step": ("records_per_second", "training, records/s"),
    "score_step": ("records_per_second", "scoring, records/s"),
    "epoch": ("records_per_second", "whole epoch, training records/s"),
    "startup": ("seconds", "first step after, s"),
}
HEAD = """| device | work | way | median | range | ratio to PyTorch eager | its range |
|---|---|---|---|---|---|---|"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args(argv)
    text = README.read_text()
    before, found, rest = text.partition(SPEED)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        print(f"error: {README.name}: no lines {SPEED} and {END}", file=sys.stderr)
        return 2
    made = f"{before}{SPEED}\n{table(results(harness.RESULTS))}\n{END}{after}"
    if args.check:
        return int(made != text)
    README.write_text(made)
    return 0


def results(folder: Path) -> dict[str, Any]:
    """Returns machine -> benchmark -> entry, of the files that `harness.save` wrote."""
    read = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return {
        name: content
        for name, content in sorted(read.items())
        if BENCHMARKS.keys() & content.keys()
    }


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the Markdown table of `results`."""
    rows = [row for content in found.values() for row in _rows(content)]
    return "\n".join([HEAD, *rows])


def _rows(content: Mapping[str, Any]) -> Iterator[str]:
    for benchmark, (unit, title) in BENCHMARKS.items():
        if benchmark not in content:
            continue
        entry = content[benchmark]
        device = entry["machine"]["device"]
        if device == "cpu":
            device = (
                f"{entry['machine']['processor']}, {entry['machine']['cores']} cores"
            )
        for size, ways in entry[unit].items():
            for way, row in ways.items():
                numbers = " | ".join(
                    (
                        f"{row['median']:,.1f}",
                        f"{row['lowest']:,.1f}–{row['highest']:,.1f}",
                        f"{row['ratio']:.2f}",
                        f"{row['lowest_ratio']:.2f}–{row['highest_ratio']:.2f}",
                    )
                )
                yield f"| {device} | {title}: {size} | {way} | {numbers} |"


if __name__ == "__main__":
    sys.exit(main())
