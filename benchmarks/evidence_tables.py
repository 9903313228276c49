"""Writes the tables of docs/results.md and README.md from the finished runs.

The runs are those of benchmarks.evidence. A row's scores are averaged over its seeds.
The average is compared with that of the reference recipe on the same resamples of the
test records. What was not run stays empty.

Example: python -m benchmarks.evidence_tables
"""

import argparse
import dataclasses
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import evidence, tables
from mrm_jax.metrics import bootstrap, classification, scores, seeds, significance
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import run_report
from mrm_jax.runtime import cli
from mrm_jax.training import run_spec, train_state

PAGE = tables.ROOT / "docs" / "results.md"
README = tables.ROOT / "README.md"
HEADINGS = (
    "network and recipe",
    "seeds",
    "parameters",
    "validation macro AUC",
    "test macro AUC by seed",
    "of the averaged scores (95 % interval)",
    "difference from the reference (95 % interval)",
)
SHORT = ("network and recipe", "seeds", *HEADINGS[4:])
VARIANTS = ("reference", "tuned", "no_mutual_loss", "high_only")
SHOWN = (*VARIANTS, "xresnet1d101", "resnet1d_wang", "s4")
EMPTY = "not run"


@dataclasses.dataclass(frozen=True)
class Results:
    """The finished runs of a row."""

    reports: Sequence[dict[str, Any]]
    scores: Mapping[int, SplitScores]  # seed -> test scores of the primary head

    def averaged(self, of_seeds: Collection[int] | None = None) -> SplitScores:
        """Returns the test scores, averaged over some seeds. Default: over all."""
        chosen = [s for seed, s in self.scores.items() if seed in (of_seeds or [seed])]
        first = chosen[0]
        mean = np.mean([part.mean for part in chosen], axis=0)
        return SplitScores(first.names, first.labels, {scores.MEAN: mean})

    @property
    def val(self) -> list[float]:
        """The best validation macro AUC of each seed."""
        return [r["val"][_head(r)]["macro_auc"] for r in self.reports]

    @property
    def test(self) -> list[float]:
        """The test macro AUC of each seed."""
        return [r["test"][_head(r)]["macro_auc"] for r in self.reports]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the tables and returns the exit status."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog=cli.program(),
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, folder = parser.add_argument, evidence.RESULTS
    add("--results", type=Path, default=folder, help="(default: benchmarks/results/)")
    add(
        "--page",
        type=Path,
        default=PAGE,
        help="(default: docs/results.md)",
    )
    add("--check", action="store_true", help="compare only, status 1 if they differ")
    args = parser.parse_args(argv)
    pages = {args.page: all_tables(args.results)}
    if args.page == PAGE:
        pages[README] = {"results": short_table(args.results)}
    differ = False
    for page, made_tables in pages.items():
        text = page.read_text()
        made = tables.filled(text, made_tables)
        differ |= made != text
        if not args.check:
            page.write_text(made)
    return int(args.check and differ)


def all_tables(folder: Path) -> dict[str, str]:
    """Returns each table by its name, in Markdown."""
    names = dict.fromkeys(row.table or row.label_set for row in evidence.ROWS)
    return {f"results_{name}": table(folder, name) for name in names}


def table(folder: Path, name: str) -> str:
    """Returns the table of a name; its first row is the reference."""
    rows = [row for row in evidence.ROWS if (row.table or row.label_set) == name]
    found = [read(folder, row) for row in rows]
    cells = [
        _cells(row, results, found[0]) for row, results in zip(rows, found, strict=True)
    ]
    return _markdown(HEADINGS, cells)


def short_table(folder: Path) -> str:
    """Returns the finished rows among SHOWN with the columns SHORT, in Markdown."""
    rows = [row for row in evidence.ROWS if row.name in SHOWN]
    found = {row: read(folder, row) for row in rows}
    cells = [
        _cells(row, results, found[rows[0]])
        for row, results in found.items()
        if results
    ]
    return _markdown(SHORT, [(*of_row[:2], *of_row[4:]) for of_row in cells])


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def read(folder: Path, row: evidence.Row) -> Results | None:
    """Returns the finished runs of a row, or None if there is none."""
    places = {seed: folder / row.name / f"seed{seed}" for seed in row.seeds}
    runs = {seed: run for seed, run in places.items() if run_report.exists(run)}
    if not runs:
        return None
    reports = [run_report.read(run) for run in runs.values()]
    found = {}
    for (seed, run), report in zip(runs.items(), reports, strict=True):
        part = run_report.read_scores(run)
        head = {scores.MEAN: part.heads[_head(report)]}
        found[seed] = SplitScores(part.names, part.labels, head)
    first, *others = found.values()
    if not all(np.array_equal(part.names, first.names) for part in others):
        raise ValueError(f"{folder / row.name}: the seeds have different records")
    return Results(reports, found)


def _head(report: dict[str, Any]) -> str:
    """Returns the head that selected the epoch: high, low or mean."""
    return report["facts"]["selection"].rpartition("_")[2]


def _cells(
    row: evidence.Row, found: Results | None, reference: Results | None
) -> tuple[str, ...]:
    if found is None:
        return (row.title, EMPTY, *[""] * (len(HEADINGS) - 2))
    counts = _counts(found.averaged())
    auc, resampled = _auc(found.averaged(), counts)
    difference = ""
    if reference is not None and reference is not found:
        difference = _difference(row, found, reference, counts)
    low, high = bootstrap.percentile(resampled)
    return (
        row.title,
        str(len(found.reports)),
        f"{_parameters(found):,}",
        _mean_sd(found.val),
        _mean_sd(found.test),
        f"{auc:.3f} ({low:.3f} to {high:.3f})",
        difference,
    )


def _difference(
    row: evidence.Row, found: Results, reference: Results, counts: np.ndarray
) -> str:
    """Returns the difference from the reference, averaged over the same seeds.

    An average over more seeds is better, whatever the recipe.
    """
    shared = found.scores.keys() & reference.scores.keys()
    if not shared:
        return ""
    one, two = found.averaged(shared), reference.averaged(shared)
    _check_same_records(one, two, row)
    (auc, resampled), (other, of_other) = _auc(one, counts), _auc(two, counts)
    low, high = bootstrap.percentile(resampled - of_other)
    return f"{auc - other:+.3f} ({low:+.3f} to {high:+.3f})"


def _counts(split: SplitScores) -> np.ndarray:
    """Returns how often each record occurs in each resample."""
    labels = [str(number) for number in range(split.labels.shape[1])]
    counts, note = significance.draw(
        split.labels, labels, bootstrap.RESAMPLES, bootstrap.SEED
    )
    if counts is None:
        raise ValueError(f"the test records cannot be resampled: {note}")
    return counts


def _auc(split: SplitScores, counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the macro AUC, and that of each resample."""
    found = classification.evaluate(split.mean, split.labels)["macro_auc"]
    return found, bootstrap.evaluate(split.mean, split.labels, counts)["macro_auc"]


def _check_same_records(one: SplitScores, two: SplitScores, row: evidence.Row) -> None:
    same = np.array_equal(one.names, two.names)
    if not same or not np.array_equal(one.labels, two.labels):
        raise ValueError(
            f"{row.name}: its test records or labels are not those of the reference"
        )


def _parameters(found: Results) -> int:
    facts = found.reports[0]["facts"]
    config = run_spec.saved_config(facts)
    network = run_spec.network(config, len(facts["labels"]), facts["num_samples"])
    return train_state.num_parameters(train_state.shapes(network).params)


def _mean_sd(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return seeds.text(seeds.mean_sd(values))


if __name__ == "__main__":
    sys.exit(main())
