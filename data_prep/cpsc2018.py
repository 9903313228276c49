"""Prepares CPSC2018 (also called ICBEB2018): 12-lead ECGs of nine classes.

It reads the WFDB records of the PhysioNet/Computing in Cardiology Challenge 2020 and
2021 and the original .mat files, also in sub-folders and linked ones. Labels in
REFERENCE.csv override those of the headers, as the official score needs the first label
of each record.

Example: python -m data_prep.cpsc2018 --raw_dir cpsc2018/ --out shards/cpsc2018
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep import (
    build,
    command,
    cpsc_format,
    csv_tables,
    folds,
    readers,
    shard_writer,
)
from mrm_jax.data import cpsc_mat, files, manifest, preprocessing

DATA_SET = "CPSC2018"
LABEL_SET = "cpsc2018"
SHIPPED_FOLDS = Path(__file__).with_name("cpsc2018_folds.csv")
PUBLIC_RECORDS = 6877
DURATION_S = 10


def reading(sampling_rate: int = 100) -> readers.Reading:
    """Returns how records are converted: to 10 s at `sampling_rate` Hz."""
    return readers.Reading(
        read=cpsc_format.read_record,
        source_rate=cpsc_mat.SAMPLING_RATE,
        sampling_rate=sampling_rate,
        num_samples=DURATION_S * sampling_rate,
        length_policy=preprocessing.STRETCH_OR_CUT,
    )


def index(
    raw_dir: Path,
    folds_csv: Path | None = None,
    *,
    data_set: str = DATA_SET,
    version: str | None = None,
) -> build.Index:
    """Returns the records of a folder, in any of the formats in circulation.

    Args:
        raw_dir: folder of the records and, optionally, REFERENCE.csv and folds.csv.
        folds_csv: file with the columns record and fold; None: folds.csv of `raw_dir`,
            or else the folds of the 6,877 public records that ship with this package.
        data_set: name of the data set in the manifest.
        version: version of the data set; None: derived from the number of records.

    Raises:
        ValueError: if there are no records, one is duplicated, or a table is invalid.
    """
    paths = find_records(raw_dir)
    reference_csv = _find_reference(raw_dir)
    reference = None
    if reference_csv:
        rows = cpsc_format.read_reference_rows(reference_csv)
        reference = {row.key: row for row in rows}
    folds_csv = folds_csv or _default_folds(raw_dir)
    fold_rows = {row.key: row for row in folds.read_rows(folds_csv)}
    classes, skipped = _label(paths, fold_rows, reference)
    if version is None:
        version = "public-6877" if len(paths) == PUBLIC_RECORDS else "subset"
    sources = {folds_csv.name: manifest.sha256(folds_csv)}
    if reference_csv:
        sources[reference_csv.name] = manifest.sha256(reference_csv)
    else:
        sources["Dx lines of the headers"] = _hash_classes(classes)
    return build.Index(
        data_set=data_set,
        version=version,
        names=list(classes),
        paths=[paths[name] for name in classes],
        folds=np.array([_fold(name, fold_rows) for name in classes], np.int8),
        tables={
            LABEL_SET: _table(list(classes.values()), ordered=reference is not None)
        },
        sources=sources,
        skipped=skipped,
    )


def find_records(raw_dir: Path) -> dict[str, Path]:
    """Returns the .hea or the original .mat file of each record, sorted by name.

    Raises:
        ValueError: if there is none, or a name occurs in two folders.
    """
    found = [path for path in files.walk(raw_dir) if path.suffix in (".hea", ".mat")]
    headers = {path.with_suffix("") for path in found if path.suffix == ".hea"}
    paths: dict[str, Path] = {}
    for path in sorted(found, key=lambda path: path.stem):
        if path.suffix == ".mat" and path.with_suffix("") in headers:
            continue  # the signal file of a WFDB record
        if path.stem in paths:
            raise ValueError(
                f"{raw_dir}: record {path.stem} exists twice, as {paths[path.stem]} "
                f"and {path}. Remove one of the copies."
            )
        paths[path.stem] = path
    if not paths:
        raise ValueError(
            f"{raw_dir}: no .hea or .mat file was found. Please download "
            "training/cpsc_2018 of physionet.org/content/challenge-2021/1.0.3, or the "
            "training set of the CPSC 2018 challenge with its REFERENCE.csv."
        )
    return paths


def _fold(name: str, rows: Mapping[str, csv_tables.Row]) -> int:
    """Returns the fold of a record.

    Raises:
        ValueError: "REASON: detail", if its row is missing or invalid.
    """
    if name not in rows:
        raise ValueError(f"no fold: the table of folds has no {name}")
    row = rows[name]
    if row.values is None:
        raise ValueError(row.reason)
    return row.values["fold"]


def _default_folds(raw_dir: Path) -> Path:
    given = raw_dir / "folds.csv"
    return given if given.is_file() else SHIPPED_FOLDS


def _find_reference(raw_dir: Path) -> Path | None:
    """Returns REFERENCE.csv, which the original challenge puts among the records."""
    found = sorted(p for p in files.walk(raw_dir) if p.name == "REFERENCE.csv")
    if len({manifest.sha256(path) for path in found}) > 1:
        raise ValueError(
            f"{raw_dir}: several REFERENCE.csv that differ: "
            f"{', '.join(map(str, found))}. Keep only one."
        )
    return found[0] if found else None


def _label(
    paths: Mapping[str, Path],
    fold_rows: Mapping[str, csv_tables.Row],
    reference: Mapping[str, csv_tables.Row] | None,
) -> tuple[dict[str, list[int]], list[tuple[str, str]]]:
    """Returns the classes of the records with a fold and labels, and all others.

    The others are skipped, and given by name and reason.
    """
    classes, skipped = {}, []
    for name, path in paths.items():
        try:
            found = _classes(name, path, reference)
            _fold(name, fold_rows)
            classes[name] = found
        except ValueError as error:
            skipped.append((name, str(error)))
    return classes, skipped


def _classes(
    name: str, path: Path, reference: Mapping[str, csv_tables.Row] | None
) -> list[int]:
    if reference is None:
        return cpsc_format.read_header_classes(path)
    row = reference.get(name)
    if row and row.reason:
        raise ValueError(row.reason)
    classes = cpsc_format.classes_of(row) if row else []
    if not classes:
        raise ValueError(f"no label: REFERENCE.csv has none for {name}")
    return classes


def _table(
    classes: Sequence[Sequence[int]], *, ordered: bool
) -> shard_writer.LabelTable:
    """Returns the label matrix; `ordered`: the first class is the first label."""
    matrix = np.zeros((len(classes), len(cpsc_format.LABELS)), np.uint8)
    first = np.full(len(classes), -1, np.int16)
    for row, numbers in enumerate(classes):
        matrix[row, np.array(numbers) - 1] = 1
        if ordered or len(numbers) == 1:
            first[row] = numbers[0] - 1
    return shard_writer.LabelTable(
        cpsc_format.LABELS, cpsc_format.DESCRIPTIONS, matrix, first
    )


def _hash_classes(classes: dict[str, list[int]]) -> str:
    return hashlib.sha256(repr(sorted(classes.items())).encode()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    flags = command.parser(__doc__)
    flags.add_argument(
        "--folds",
        type=Path,
        metavar="CSV",
        help="file with the columns record and fold (default: folds.csv of the raw "
        "folder, or else the ten folds of the public records that ship with this "
        "package)",
    )
    args = flags.parse_args(argv)
    return command.run(lambda _: index(args.raw_dir, args.folds), reading(), args)


if __name__ == "__main__":
    sys.exit(main())
