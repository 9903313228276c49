"""Prepares PTB-XL: 12-lead ECGs of ten seconds, with its six label sets.

The raw folder contains ptbxl_database.csv and scp_statements.csv. A statement counts
regardless of its likelihood, as rhythm statements are stored with likelihood 0. The
folds are those of the data set (strat_fold), which keep the records of a patient
together.

Example: python -m data_prep.ptbxl --raw_dir ptb-xl/ --out shards/ptbxl

References:
    Wagner et al., 2020, doi 10.1038/s41597-020-0495-6.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep import build, command, csv_tables, readers, shard_writer
from mrm_jax.data import manifest, preprocessing, wfdb_files

DATA_SET = "PTB-XL"
DATABASE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
FILE_COLUMNS = {100: "filename_lr", 500: "filename_hr"}  # rate in Hz -> its files
# Published version -> numbers of records and of patients. 1.0.0 has those of 1.0.1.
VERSIONS = {"1.0.1": (21837, 18885), "1.0.2": (21801, 18869), "1.0.3": (21799, 18869)}
PATIENT = "patient_id"  # identifies the version; not needed for labels or folds
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
STATEMENT_COLUMNS = {
    "description": csv_tables.text,
    **dict.fromkeys(KINDS, csv_tables.flag),
    **dict.fromkeys(GROUPS.values(), csv_tables.optional_text),
}
# The column of the codes has no name. pandas calls it the second if it writes an index.
CODE_COLUMNS = ("", "Unnamed: 0")

# An entry of scp_codes, as in {'NORM': 100.0, 'SR': 0.0}. `ast.literal_eval` would do,
# but in Python 3.11 it can fail while another thread formats a traceback, as Dask's do.
CODE = re.compile(r"""\s*(['"])([^'"\\]*)\1\s*:\s*[-+]?[\d.]+(?:e[-+]?\d+)?\s*""")


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
        ValueError: if a table is missing, a column is missing, or a statement is
            invalid. Records with an invalid row are skipped.
    """
    records = _read_records(raw_dir, FILE_COLUMNS[sampling_rate])
    statements = _read_statements(raw_dir / STATEMENTS)
    known = set(statements.index)
    reasons = [_reason_to_skip(row, known) for row in records]
    kept = [
        row.values
        for row, reason in zip(records, reasons, strict=True)
        if row.values and not reason
    ]
    return build.Index(
        data_set=DATA_SET,
        version=_version(raw_dir / DATABASE, len(records)),
        names=[_name(values["ecg_id"]) for values in kept],
        paths=[raw_dir / values[FILE_COLUMNS[sampling_rate]] for values in kept],
        folds=np.array([values["strat_fold"] for values in kept], np.int8),
        tables=label_tables([values["scp_codes"] for values in kept], statements),
        sources={n: manifest.sha256(raw_dir / n) for n in (DATABASE, STATEMENTS)},
        skipped=[
            (f"line {row.line}" if row.key is None else _name(row.key), reason)
            for row, reason in zip(records, reasons, strict=True)
            if reason
        ],
    )


def _version(path: Path, num_records: int) -> str:
    """Returns the published version of ptbxl_database.csv, or what it is instead."""
    like = [name for name, (count, _) in VERSIONS.items() if count == num_records]
    if not like:
        return "subset"
    if PATIENT not in csv_tables.read_header(path):
        return f"unknown (as many records as {like[0]}, no {PATIENT})"
    rows = csv_tables.read(path, PATIENT, {PATIENT: _parse_patient}, unique=False)
    num_patients = len({row.key for row in rows})
    if num_patients == VERSIONS[like[0]][1]:
        return like[0]
    return f"unknown (as many records as {like[0]}, but {num_patients} patients)"


def _name(ecg_id: int) -> str:
    return f"{ecg_id:05d}"


def _read_records(raw_dir: Path, file_column: str) -> Sequence[csv_tables.Row]:
    """Returns the rows of ptbxl_database.csv."""
    columns = {
        "ecg_id": csv_tables.whole_number(1),
        "scp_codes": _parse_codes,
        "strat_fold": csv_tables.whole_number(1, 10),
        file_column: csv_tables.text,
    }
    return _read_table(raw_dir / DATABASE, "ecg_id", columns)


def _read_statements(path: Path) -> pd.DataFrame:
    """Returns scp_statements.csv, indexed by SCP code.

    Raises:
        ValueError: if a row is invalid, since the label sets depend on every row.
    """
    renamed = path.is_file() and CODE_COLUMNS[1] in csv_tables.read_header(path)
    column = CODE_COLUMNS[renamed]
    rows = _read_table(path, column, {column: _parse_code, **STATEMENT_COLUMNS})
    for row in rows:
        if row.reason or not row.values:
            raise ValueError(f"{path}: {row.reason}. Download the table again.")
        empty = [name for name in GROUPS.values() if not row.values[name]]
        if row.values["diagnostic"] and empty:
            raise ValueError(
                f"{path}: line {row.line}: the diagnostic statement {row.key} has no "
                f"{', '.join(empty)}. Download the table again."
            )
    codes = [row.key for row in rows]
    return pd.DataFrame([row.values for row in rows], index=codes)


def _read_table(
    path: Path, key: str, columns: Mapping[str, csv_tables.Parse]
) -> Sequence[csv_tables.Row]:
    try:
        return csv_tables.read(path, key, columns)
    except FileNotFoundError:
        raise ValueError(
            f"{path} was not found. Download physionet.org/content/ptb-xl/1.0.3 and "
            "pass its folder with --raw_dir."
        ) from None


def _parse_code(cell: str) -> str:
    """Returns an SCP code."""
    code = csv_tables.text(cell)
    if code.replace(".", "").isdigit():
        raise ValueError("expected an SCP code such as NORM")
    return code


def _parse_patient(cell: str) -> str:
    """Returns a patient, which some versions store as 15709 and some as 15709.0."""
    return csv_tables.optional_text(cell).removesuffix(".0")


def _parse_codes(cell: str) -> tuple[str, ...]:
    """Returns the keys of scp_codes, which holds a Python dict as text."""
    text = cell.strip()
    entries = text.removeprefix("{").removesuffix("}").split(",")
    if not entries[-1].strip():  # an empty dict, or a comma at the end
        entries.pop()
    found = [CODE.fullmatch(entry) for entry in entries]
    if text[:1] + text[-1:] != "{}" or not all(found):
        raise ValueError("expected codes and likelihoods, such as {'NORM': 100.0}")
    return tuple(dict.fromkeys(match[2].strip() for match in found if match))


def _reason_to_skip(row: csv_tables.Row, known: set[str]) -> str | None:
    """Returns why a record must be skipped, or None."""
    if row.values is None:
        return row.reason
    unknown = sorted(set(row.values["scp_codes"]) - known)
    if unknown:
        return f"unknown label: {', '.join(unknown)} is not in {STATEMENTS}"
    return None


def label_tables(
    codes: Sequence[Sequence[str]], statements: pd.DataFrame
) -> dict[str, shard_writer.LabelTable]:
    """Returns the six label sets, each with its labels in alphabetical order.

    The labels are those of `statements`, even if no record has them, so that every
    subset of PTB-XL has the same labels.

    Args:
        codes: [record], SCP codes of each record.
        statements: scp_statements.csv with the columns `STATEMENT_COLUMNS`, indexed by
            SCP code.
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
