"""Prepares PTB-XL: 12-lead ECGs of ten seconds, with its six label sets.

The raw folder contains ptbxl_database.csv and scp_statements.csv. A statement counts
regardless of its likelihood, as rhythm statements are stored with likelihood 0. The
folds are those of the data set (strat_fold), which keep the records of a patient
together.

Example: python -m data_prep.ptbxl --raw_dir ptb-xl/ --out shards/ptbxl

References:
    Wagner et al., 2020, doi 10.1038/s41597-020-0495-6.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep import build, command, readers, shard_writer
from mrm_jax.data import manifest, preprocessing, wfdb_files

DATA_SET = "PTB-XL"
DATABASE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
FILE_COLUMNS = {100: "filename_lr", 500: "filename_hr"}  # rate in Hz -> its files
VERSIONS = {21837: "1.0.1", 21799: "1.0.3"}  # number of records -> version
DURATION_S = 10

KINDS = ("diagnostic", "form", "rhythm")  # a statement is of one or two kinds
GROUPS = {  # label set -> the column that groups diagnostic statements
    "subdiagnostic": "diagnostic_subclass",
    "superdiagnostic": "diagnostic_class",
}
SUPERCLASSES = {
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
    "MI": "myocardial infarction",
    "NORM": "normal ECG",
    "STTC": "ST/T change",
}
COLUMNS = ("description", *KINDS, *GROUPS.values())


def reading(sampling_rate: int = 100) -> readers.Reading:
    """Returns how records are converted: they keep their rate and length."""
    return readers.Reading(
        read=wfdb_files.read_record,
        source_rate=sampling_rate,
        sampling_rate=sampling_rate,
        num_samples=DURATION_S * sampling_rate,
        length_policy=preprocessing.EXACT,
    )


def index(raw_dir: Path, sampling_rate: int = 100) -> build.Index:
    """Returns the records of PTB-XL, or of a subset of it.

    Args:
        raw_dir: folder of the two tables and the folders of records.
        sampling_rate: 100 or 500 Hz; selects one of the two files of each record.

    Raises:
        ValueError: if a table is missing or damaged.
    """
    file_column = FILE_COLUMNS[sampling_rate]
    records = _read_table(raw_dir / DATABASE, ["scp_codes", "strat_fold", file_column])
    statements = _read_table(raw_dir / STATEMENTS, COLUMNS)
    records["name"] = [f"{ecg_id:05d}" for ecg_id in records.index]
    records["codes"] = [_parse_codes(raw_dir, text) for text in records["scp_codes"]]
    skipped = list(_skip(records, set(statements.index)))
    kept = records[~records["name"].isin([name for name, _ in skipped])]
    return build.Index(
        data_set=DATA_SET,
        version=VERSIONS.get(len(records), "subset"),
        names=kept["name"].tolist(),
        paths=[raw_dir / file for file in kept[file_column]],
        folds=kept["strat_fold"].to_numpy(np.int8),
        tables=label_tables(kept["codes"].tolist(), statements),
        sources={n: manifest.sha256(raw_dir / n) for n in (DATABASE, STATEMENTS)},
        skipped=skipped,
    )


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Returns columns of one of PTB-XL's tables, indexed by its first column."""
    try:
        table = pd.read_csv(path, index_col=0)[list(columns)]
    except FileNotFoundError:
        raise ValueError(
            f"{path} was not found. Download physionet.org/content/ptb-xl/1.0.3 and "
            "pass its folder with --raw_dir."
        ) from None
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a table of PTB-XL ({error})") from None
    if not table.index.is_unique:
        double = table.index[table.index.duplicated()].tolist()
        raise ValueError(f"{path}: these rows occur twice: {double}")
    return table


def _parse_codes(raw_dir: Path, text: str) -> tuple[str, ...]:
    """Returns the keys of scp_codes, which holds a Python dict as text."""
    try:
        return tuple(ast.literal_eval(text))
    except (SyntaxError, TypeError, ValueError):
        raise ValueError(
            f"{raw_dir / DATABASE}: expected scp_codes like {{'NORM': 100.0}}, "
            f"found {text!r}"
        ) from None


def _skip(records: pd.DataFrame, known: set[str]) -> Iterator[tuple[str, str]]:
    """Yields name and reason of each record that must be skipped."""
    folds = [fold for folds in manifest.SPLIT_FOLDS.values() for fold in folds]
    rows = zip(records["name"], records["codes"], records["strat_fold"], strict=True)
    for name, codes, fold in rows:
        unknown = sorted(set(codes) - known)
        if unknown:
            yield name, f"unknown label: {', '.join(unknown)} is not in {STATEMENTS}"
        elif fold not in folds:
            yield name, f"no fold: expected strat_fold 1 to 10, found {fold}"


def label_tables(
    codes: Sequence[Sequence[str]], statements: pd.DataFrame
) -> dict[str, shard_writer.LabelTable]:
    """Returns the six label sets, each with its labels in alphabetical order.

    The labels are those of `statements`, even if no record has them, so that every
    subset of PTB-XL has the same labels.

    Args:
        codes: [record], SCP codes of each record.
        statements: scp_statements.csv with the columns `COLUMNS`, indexed by SCP code.
    """
    texts = {
        str(code): f"{row['description']} (SCP-ECG {code}, {_kinds(row)})"
        for code, row in statements.iterrows()
    }
    tables = {"all": _table(codes, {code: code for code in texts}, texts)}
    diagnostic = statements[statements["diagnostic"] == 1]
    members = {kind: statements.index[statements[kind] == 1] for kind in KINDS}
    tables["diagnostic"] = _own_table(codes, members["diagnostic"], texts)
    for name, column in GROUPS.items():
        group_of = diagnostic[column].to_dict()
        tables[name] = _table(codes, group_of, _describe(diagnostic, column))
    tables["form"] = _own_table(codes, members["form"], texts)
    tables["rhythm"] = _own_table(codes, members["rhythm"], texts)
    return tables


def _own_table(
    codes: Sequence[Sequence[str]], members: pd.Index, texts: Mapping[str, str]
) -> shard_writer.LabelTable:
    """Returns a label set in which every statement is a label of its own."""
    return _table(codes, {code: code for code in members}, texts)


def _table(
    codes: Sequence[Sequence[str]],
    label_of: Mapping[str, str],
    texts: Mapping[str, str],
) -> shard_writer.LabelTable:
    """Returns one label set; ignores codes that are not in `label_of`."""
    labels = tuple(sorted(set(label_of.values())))
    column = {code: labels.index(label) for code, label in label_of.items()}
    matrix = np.zeros((len(codes), len(labels)), np.uint8)
    for row, found in enumerate(codes):
        matrix[row, [column[code] for code in found if code in column]] = 1
    return shard_writer.LabelTable(
        labels, tuple(texts[label] for label in labels), matrix
    )


def _kinds(statement: pd.Series) -> str:
    kinds = [kind for kind in KINDS if statement[kind] == 1]
    return f"{' and '.join(kinds)} statement"


def _describe(diagnostic: pd.DataFrame, column: str) -> dict[str, str]:
    """Returns the descriptions of the labels of a grouping.

    PTB-XL has no description of a subclass, so those of its statements are joined.
    """
    texts = diagnostic.groupby(column)["description"].agg("; ".join).to_dict()
    if column == GROUPS["superdiagnostic"]:
        texts |= SUPERCLASSES
    kind = column.replace("_", " ")
    return {label: f"{text} (PTB-XL {kind} {label})" for label, text in texts.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    flags = command.parser(__doc__)
    flags.add_argument(
        "--sampling_rate",
        type=int,
        choices=tuple(FILE_COLUMNS),
        default=100,
        help="sampling rate of the files to read and of the shards, Hz (default: "
        "%(default)s)",
    )
    args = flags.parse_args(argv)
    return command.run(
        lambda _: index(args.raw_dir, args.sampling_rate),
        reading(args.sampling_rate),
        args,
    )


if __name__ == "__main__":
    sys.exit(main())
