"""The six label sets of PTB-XL, from the SCP codes of its records.

References:
    Strodthoff et al., 2021, doi 10.1109/JBHI.2020.3022989.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from data_prep import shard_writer

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


def label_tables(
    codes: Sequence[Sequence[str]], statements: pd.DataFrame
) -> dict[str, shard_writer.LabelTable]:
    """Returns the six label sets, each with its labels in alphabetical order.

    The labels are those of `statements`, also where no record has one: every part of
    PTB-XL has the same.

    Args:
        codes: [record], the SCP codes of each.
        statements: scp_statements.csv with the columns `COLUMNS`, by SCP code.
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
    """Returns one label set; codes that `label_of` lacks do not belong to it."""
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
    """Returns what the labels of a grouping stand for.

    A subclass has no text in PTB-XL but those of its statements.
    """
    texts = diagnostic.groupby(column)["description"].agg("; ".join).to_dict()
    if column == GROUPS["superdiagnostic"]:
        texts |= SUPERCLASSES
    kind = column.replace("_", " ")
    return {label: f"{text} (PTB-XL {kind} {label})" for label, text in texts.items()}
