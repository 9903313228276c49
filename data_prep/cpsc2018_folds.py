"""Creates the ten folds of CPSC2018's 6,877 public records that this package ships.

CPSC2018 has no published folds: those of the first publications depended on the order
of a directory listing. We provide ten, made by iterative stratification of the labels
of all records, sorted by name and shuffled with a fixed seed (cpsc2018_folds.csv).

Requires the package iterative-stratification (extra [dev]).

Example: python -m data_prep.cpsc2018_folds --reference REFERENCE.csv --out folds.csv

References:
    Sechidis, Tsoumakas, Vlahavas, 2011, doi 10.1007/978-3-642-23808-6_10.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep import cpsc_format
from mrm_jax.runtime import cli

NUM_FOLDS = 10
SEED = 2018


def make_folds(classes: dict[str, list[int]]) -> dict[str, int]:
    """Returns the fold, 1 to 10, of each record, sorted by name.

    Args:
        classes: record name -> its classes, 1 to 9.
    """
    from iterstrat import ml_stratifiers  # in extra [dev]: only this script needs it

    names = sorted(classes)
    matrix = np.zeros((len(names), len(cpsc_format.LABELS)), np.uint8)
    for row, name in enumerate(names):
        matrix[row, np.array(classes[name]) - 1] = 1
    folds = np.zeros(len(names), int)
    splitter = ml_stratifiers.MultilabelStratifiedKFold(
        NUM_FOLDS, shuffle=True, random_state=SEED
    )
    for fold, (_, rows) in enumerate(splitter.split(matrix, matrix), start=1):
        folds[rows] = fold
    return dict(zip(names, folds.tolist(), strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    flags = argparse.ArgumentParser(
        prog=cli.program(),
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli.add_version(flags)
    flags.add_argument(
        "--reference", type=Path, required=True, help="REFERENCE.csv of the challenge"
    )
    flags.add_argument("--out", type=Path, required=True, help="CSV file to write")
    args = flags.parse_args(argv)
    try:
        classes = cpsc_format.read_reference(args.reference)
        print(f"{len(classes):,} records, {NUM_FOLDS} folds, seed {SEED} -> {args.out}")
        lines = [f"{name},{fold}" for name, fold in make_folds(classes).items()]
        args.out.write_text("\n".join(["record,fold", *lines]) + "\n")
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
