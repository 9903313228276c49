"""Finds labels of different data sets that have the same meaning.

The meaning of a label is a set of SNOMED CT codes. Those of PTB-XL's statements and of
CPSC2018's classes are in label_meanings.csv. Other labels have the codes that their
descriptions name, "(SNOMED CT 164889003)". Two labels mean the same if they share a
code.

The Challenges 2020 and 2021 coded PTB-XL and CPSC2018 too. Where they gave a label the
code of something else, the table has no such code: CPSC2018's Normal is a normal ECG,
not every sinus rhythm, and SVARR is any supraventricular arrhythmia.
"""

import csv
import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("label_meanings.csv")
FILE_COLUMNS = ("label", "data_label")  # of a user's own mapping
# Beginning of a data set's name, label set (None: any other) -> vocabulary.
_VOCABULARIES = {
    ("PTB-XL", "subdiagnostic"): "PTB-XL subclasses",
    ("PTB-XL", "superdiagnostic"): "PTB-XL superclasses",
    ("PTB-XL", None): "PTB-XL statements",
    ("CPSC2018", None): "CPSC2018",
    ("synthetic (CPSC2018 layout)", None): "CPSC2018",
}
_CODES = re.compile(r"\(SNOMED CT ([\d, ]+)\)")


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """Which labels of other data mean the same as those of a run."""

    columns: Mapping[str, tuple[str, ...]]  # label of the run -> labels of the data
    unmapped: tuple[str, ...]  # labels of the run without one
    unused: tuple[str, ...]  # labels of the data that no label of the run means

    def restricted(self, found: Sequence[str]) -> "LabelMap":
        """Returns the mapping to some labels of the data only."""
        columns = {
            label: tuple(other for other in others if other in found)
            for label, others in self.columns.items()
        }
        return _label_map(columns | dict.fromkeys(self.unmapped, ()), found)


def match(run: Mapping[str, Any], found: Mapping[str, Any]) -> LabelMap:
    """Returns the labels with the same meaning.

    Args:
        run: the data set of a run: data_set, label_set, labels, descriptions.
        found: the other data set, likewise.
    """
    codes = _codes(found)
    columns = {
        label: tuple(other for other, theirs in codes.items() if own & theirs)
        for label, own in _codes(run).items()
    }
    return _label_map(columns, found["labels"])


def read(path: Path, run: Sequence[str], found: Sequence[str]) -> LabelMap:
    """Returns the mapping in a CSV file with the columns label and data_label.

    A label of the run that is in several rows has all labels of the data in these. A
    row with one label only, as evaluations write it, says that it has no counterpart.

    Args:
        path: the file.
        run: labels of the run.
        found: labels of the data.

    Raises:
        ValueError: if the file is missing, lacks a column, or names an unknown label.
    """
    columns: dict[str, tuple[str, ...]] = dict.fromkeys(run, ())
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: unreadable ({error})") from None
    for line, row in enumerate(rows, start=2):
        label, other = ((row.get(name) or "").strip() for name in FILE_COLUMNS)
        one_alone = any((label, other)) and {*FILE_COLUMNS} <= row.keys()
        for given, known in ((label, run), (other, found)):
            if given not in known and (given or not one_alone):
                raise ValueError(
                    f"{path}, line {line}: expected the columns label (of the run) and "
                    f"data_label, found {given!r}, which is none of {', '.join(known)}"
                )
        if label and other:
            columns[label] = (*columns[label], other)
    return _label_map(columns, found)


def _label_map(
    columns: Mapping[str, tuple[str, ...]], found: Sequence[str]
) -> LabelMap:
    used = {other for others in columns.values() for other in others}
    return LabelMap(
        {label: others for label, others in columns.items() if others},
        tuple(label for label, others in columns.items() if not others),
        tuple(label for label in found if label not in used),
    )


def _codes(data: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Returns the codes of each label; none for a label of unknown meaning."""
    known = _table().get(_vocabulary(data))
    described = data["descriptions"] or [""] * len(data["labels"])
    found = {}
    for label, description in zip(data["labels"], described, strict=True):
        if known is not None:
            found[label] = known.get(label, frozenset())
        else:
            codes = ",".join(_CODES.findall(description)).split(",")
            found[label] = frozenset(code.strip() for code in codes if code.strip())
    return found


def _vocabulary(data: Mapping[str, Any]) -> str | None:
    for (start, label_set), name in _VOCABULARIES.items():
        if (data["data_set"] or "").startswith(start) and (
            label_set in (None, data["label_set"])
        ):
            return name
    return None


@functools.cache
def _table() -> Mapping[str | None, Mapping[str, frozenset[str]]]:
    """Returns the codes of each label of each vocabulary."""
    found: dict[str | None, dict[str, frozenset[str]]] = {}
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            codes = frozenset(row["snomed"].split(";"))
            found.setdefault(row["vocabulary"], {})[row["label"]] = codes
    return found
