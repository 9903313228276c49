"""Writes the tables of docs/ from benchmarks/results/.

Each table is placed between the lines `<!-- NAME -->` and `<!-- end of NAME -->` of its
document. With --check, the command only compares them, and exits with status 1 if they
differ.

Example: python -m benchmarks.tables
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    harness,
    population_tables,
    program_table,
    scaling_tables,
    speed_table,
)
from mrm_jax.runtime import cli

ROOT = Path(__file__).parents[1]
Results = Mapping[str, Mapping[str, Any]]
Tables = Mapping[str, Callable[[Results], str]]  # name -> function that renders it
DOCUMENTS: Mapping[Path, Tables] = {
    ROOT / "docs" / "accelerators.md": {"programs": program_table.table},
    ROOT / "docs" / "benchmarks.md": {"speed": speed_table.table},
    ROOT / "docs" / "speed.md": {"hardware": speed_table.hardware},
    ROOT / "docs" / "scaling.md": scaling_tables.TABLES,
    ROOT / "docs" / "sweeps.md": population_tables.TABLES,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog=cli.program(),
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="compare only")
    args = parser.parse_args(argv)
    found = results(harness.RESULTS)
    differ = False
    for path, tables in DOCUMENTS.items():
        text = path.read_text()
        try:
            made = filled(text, {name: make(found) for name, make in tables.items()})
        except ValueError as error:
            print(f"error: {path.name}: {error}", file=sys.stderr)
            return 2
        differ |= made != text
        if not args.check:
            path.write_text(made)
    return int(args.check and differ)


def results(folder: Path) -> dict[str, Any]:
    """Reads the results files of a folder, by name."""
    return {path.stem: json.loads(path.read_text()) for path in _files(folder)}


def filled(text: str, tables: Mapping[str, str]) -> str:
    """Returns `text` with each table inserted between its two lines.

    Raises:
        ValueError: if `text` does not contain the lines of a table.
    """
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(
                f"expected the lines {begin} and {end}, but they were not found."
            )
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


if __name__ == "__main__":
    sys.exit(main())
