"""Prepares your own ECGs: files in a folder, and a table with their labels.

The table is a CSV file (commas, semicolons, tabs; any encoding) or a Parquet file. It
has a row for each record, with

  a column that names the record's file,
  labels: a column of 0 and 1 for each, or one column with their names,
  optionally a column of patients, and one of folds (1 to 10, or train, val, test).

The columns are recognised and printed; flags name others. Without a column of folds,
ten folds are made: each patient is in one, and all have similar shares of each label.
They are kept beside the shards, in OUT.folds.csv, for later builds with new records.

Records may be WFDB, EDF, DICOM, GE MUSE, HL7 aECG, SCP-ECG, NumPy or CSV files of any
sampling rate, with the twelve leads or with the chest leads and two limb leads. Those
that cannot be used are listed with the reason.

Example: python -m data_prep.table --labels labels.csv --records ecgs/ \\
    --out shards/mine
"""

import argparse
import dataclasses
import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep import (
    build,
    command,
    folds,
    label_columns,
    label_rows,
    label_table,
    readers,
    record_files,
    shard_writer,
)
from mrm_jax.data import files, manifest, preprocessing, recording, splits
from mrm_jax.runtime import cli, console

LABEL_SET = "labels"
VERSION_DIGITS = 12  # of the table's SHA-256
LISTED = 5  # examples of problems that are printed


def reading(args: argparse.Namespace) -> readers.Reading:
    """Returns how records are converted."""
    names = tuple(args.leads.split(",")) if args.leads else None
    form = files.TableForm(args.sampling_rate, recording.unit_name(args.unit), names)
    return readers.Reading(
        read=record_files.reader(form),
        source_rate=None,
        sampling_rate=args.shard_rate,
        num_samples=readers.num_samples(args.duration, args.shard_rate),
        length_policy=args.length_policy,
        options=repr(form),
        unit=form.unit,
    )


def index(args: argparse.Namespace) -> build.Index:
    """Reads the table, prints its columns, and returns the records of a data set.

    Raises:
        ValueError: if the table cannot be read, or no row of it can be used.
    """
    files_of_records = record_files.RecordFiles(args.records)
    parsed = _read(args, files_of_records)
    fold_of_record = _folds(parsed, args)
    paths, kept, skipped = files_of_records.find_all(parsed.names)
    return build.Index(
        data_set=args.name or args.out_dir.resolve().name,
        version=manifest.sha256(args.labels)[:VERSION_DIGITS],
        names=[parsed.names[row] for row in kept],
        paths=paths,
        folds=fold_of_record[kept],
        tables={
            args.label_set: shard_writer.LabelTable(
                parsed.labels,
                parsed.labels,
                parsed.matrix[kept],
                with_negatives=not args.omit_unlabelled,
            )
        },
        sources={
            args.labels.name: manifest.sha256(args.labels),
            "labels and folds": _hash(parsed, fold_of_record, args),
        },
        skipped=[*parsed.problems, *skipped],
    )


def _read(
    args: argparse.Namespace, files_of_records: record_files.RecordFiles
) -> label_rows.Parsed:
    """Returns the rows of the table, and prints its columns and doubts about it."""
    table = label_table.Table(args.labels, args.encoding)
    asked = label_columns.Columns(
        args.record_column,
        tuple(args.label_columns or ()),
        args.labels_column,
        args.separator,
        args.patient_column,
        args.fold_column,
    )
    columns = label_columns.find(table, asked, files_of_records)
    if args.folds:  # a column that merely looks like folds does not count
        if args.fold_column:
            raise ValueError("Give folds by --folds or by --fold_column, not by both.")
        columns = dataclasses.replace(columns, fold=None)
    console.say(f"columns of {table}:\n{columns.describe()}")
    parsed, rare = label_rows.select(label_rows.parse(table, columns), args.min_records)
    _print_doubts(parsed, rare)
    return parsed


def _hash(
    parsed: label_rows.Parsed, found: np.ndarray, args: argparse.Namespace
) -> str:
    """Returns a hash of what flags and the file of folds make of the table."""
    content = hashlib.sha256()
    content.update(repr((args.label_set, parsed.labels, args.omit_unlabelled)).encode())
    content.update(parsed.matrix.tobytes() + found.tobytes())
    content.update("\n".join(parsed.names).encode())
    return content.hexdigest()


def _folds(parsed: label_rows.Parsed, args: argparse.Namespace) -> np.ndarray:
    """Returns the fold of each record: the table's, or those in the file of folds."""
    if parsed.folds is not None:
        _warn_of_patients(parsed.patients, parsed.folds)
        if label_rows.lacks_validation(parsed.folds):
            console.say(
                "warning: no record is in val (fold 9), but training needs some there. "
                "Write val in place of train for some, or choose folds when you train, "
                "such as --config.data.folds.val=8."
            )
        return parsed.folds
    if args.folds and not args.folds.is_file():
        raise ValueError(f"--folds: {args.folds} was not found")
    found = folds.frozen(
        args.folds or folds.file_beside(args.out_dir),
        parsed.names,
        parsed.matrix,
        parsed.names if parsed.patients is None else parsed.patients,
        args.seed,
        save=not args.dry_run,
    )
    _warn_of_patients(parsed.patients, found)
    return found


def _warn_of_patients(patients: np.ndarray | None, found: np.ndarray) -> None:
    if patients is None:
        console.say(
            "warning: no column of patients was found. If patients have several "
            "records, name it with --patient_column. Otherwise a patient's records may "
            "be in training and test, and the scores too good."
        )
        return
    several = label_rows.patients_in_several_folds(patients, found)
    if several:
        console.say(
            f"warning: {several:,} patients have records in several folds, so a "
            "patient may be in training and test."
        )


def _print_doubts(parsed: label_rows.Parsed, rare: Mapping[str, int]) -> None:
    """Prints what a user should look at before training."""
    negatives = int(np.sum(~parsed.matrix.any(axis=1)))
    records = _count(len(parsed.names), "record")
    labels = _count(len(parsed.labels), "label")
    console.say(f"{records}, {labels}; {negatives:,} of the records have none of them")
    if rare:
        listed = ", ".join(f"{name} ({count})" for name, count in rare.items())
        console.say(f"left out, as they have too few records: {listed}")
    if parsed.num_empty:
        console.say(f"{parsed.num_empty:,} empty cells of labels were read as 0")
    for _, reason in parsed.problems[:LISTED]:
        console.say(f"  {reason}")
    if len(parsed.problems) > LISTED:
        console.say(f"  and {len(parsed.problems) - LISTED:,} other invalid rows")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"


def _how_to_train(args: argparse.Namespace) -> str:
    """Returns the command that trains on the shards."""
    words = [
        *("python", "-m", "mrm_jax.train", "--config", "base", "--data", args.out_dir),
        f"--config.data.label_set={args.label_set}",
        f"--config.name={args.out_dir.resolve().name}",
    ]
    return f"train: {shlex.join(map(str, words))}"


def _parser() -> argparse.ArgumentParser:
    flags = command.parser(__doc__, raw_dir=False)
    add = flags.add_argument
    help_ = "table with a row for each record: .csv, .tsv, .txt or .parquet"
    add("--labels", type=Path, required=True, metavar="TABLE", help=help_)
    help_ = "folder of the records; sub-folders are searched too"
    add("--records", type=Path, required=True, metavar="FOLDER", help=help_)
    help_ = "print the columns, labels, folds and problems of the table; write nothing"
    add("--dry_run", action="store_true", help=help_)
    _add_columns(flags.add_argument_group("columns (default: recognised and printed)"))
    _add_labels(flags.add_argument_group("labels and folds"))
    _add_signals(flags.add_argument_group("signals"))
    return flags


def _add_columns(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--record_column", metavar="NAME", help="names the file of each record")
    help_ = "columns of 0 and 1, one for each label"
    add("--label_columns", metavar="NAME", nargs="+", help=help_)
    help_ = "one column with the names of all labels of a record"
    add("--labels_column", metavar="NAME", help=help_)
    help_ = "stands between the names in --labels_column (default: ; or | or ,)"
    add("--separator", metavar="TEXT", help=help_)
    add("--patient_column", metavar="NAME", help="identifies the patient")
    add("--fold_column", metavar="NAME", help="1 to 10, or train, val and test")
    help_ = "encoding of the table, such as cp1252 (default: UTF-8)"
    add("--encoding", default=label_table.ENCODING, help=help_)


def _add_labels(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    help_ = "leave out labels of fewer records than this (default: %(default)s)"
    add("--min_records", type=cli.at_least(0), default=1, metavar="N", help=help_)
    help_ = (
        "leave out records without any label, which count as negatives by default; for "
        "tables in which an empty row means that nobody looked"
    )
    add("--omit_unlabelled", action="store_true", help=help_)
    help_ = "name of the label set in the shards (default: %(default)s)"
    add("--label_set", default=LABEL_SET, metavar="NAME", help=help_)
    help_ = "name of the data set (default: the last part of --out)"
    add("--name", metavar="NAME", help=help_)
    help_ = (
        "table with the columns record and fold, to which new records are added "
        "(default: OUT.folds.csv)"
    )
    add("--folds", type=Path, metavar="CSV", help=help_)
    help_ = "seed of new folds (default: %(default)s)"
    add("--seed", type=cli.at_least(0), default=0, metavar="N", help=help_)


def _add_signals(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    help_ = "sampling rate of the shards (default: %(default)s)"
    add("--shard_rate", type=int, default=100, metavar="HZ", help=help_)
    help_ = "length of each record in the shards, in seconds (default: %(default)s)"
    add("--duration", type=float, default=10.0, metavar="S", help=help_)
    help_ = (
        "what happens to records of another length: stretch-or-cut keeps the start of "
        "longer ones and stretches shorter ones, down to half of it; exact skips them "
        "(default: %(default)s)"
    )
    policies = preprocessing.LENGTH_POLICIES
    default = preprocessing.STRETCH_OR_CUT
    add("--length_policy", choices=policies, default=default, help=help_)
    help_ = "sampling rate of .npy and .csv records, which do not store it"
    add("--sampling_rate", type=float, metavar="HZ", help=help_)
    help_ = "unit of .npy and .csv records: mV, uV or V (default: %(default)s)"
    add("--unit", default="mV", help=help_)
    help_ = (
        "leads of .npy and .csv records (default: those in the header row, or I, II, "
        "III, aVR, aVL, aVF, V1 to V6)"
    )
    add("--leads", metavar="I,II,...", help=help_)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = _parser().parse_args(argv)
    try:
        spec = reading(args)
    except ValueError as error:
        cli.say_error(f"error: {error}")
        return 1
    if args.dry_run:
        return command.status(lambda: _preview(args), args.out_dir)
    status = command.run(lambda _: index(args), spec, args)
    if status == 0:
        console.say(_how_to_train(args), wrap=False)
    return status


def _preview(args: argparse.Namespace) -> None:
    """Prints what would be prepared."""
    files_of_records = record_files.RecordFiles(args.records)
    parsed = _read(args, files_of_records)
    found = _folds(parsed, args)
    width = min(30, max(map(len, parsed.labels)) + 1)
    print(" " * width + "".join(f"{f'fold {fold}':>9}" for fold in splits.FOLDS))
    for label, column in zip(parsed.labels, parsed.matrix.T, strict=True):
        counts = [int(column[found == fold].sum()) for fold in splits.FOLDS]
        cells = "".join(f"{count:>9,}" for count in counts)
        console.say(f"{label[: width - 1]:<{width}}{cells}", wrap=False)
    paths, _, missing = files_of_records.find_all(parsed.names)
    console.say(f"{len(paths):,} of {len(parsed.names):,} records have a file")
    for _, reason in missing[:LISTED]:
        console.say(f"  {reason}")
    print("nothing was written")


if __name__ == "__main__":
    sys.exit(main())
