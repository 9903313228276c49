"""Prepares the data of the PhysioNet/CinC Challenges 2020 and 2021.

It reads folders of CPSC, CPSC-Extra, PTB, PTB-XL, Georgia, Chapman-Shaoxing, Ningbo and
St Petersburg, alone or together, with sub-folders. Labels are the SNOMED CT codes in
the line "# Dx:" of each header. Two label sets are made:

  scored  the 26 classes of the Challenge 2021; equivalent codes are one class, and
          records without any of them are negatives
  all     every code that occurs; records without any code are left out

Records of any sampling rate and length are read. Longer ones are cut to --duration,
shorter ones stretched.

Headers do not name patients, so the folds are made by record. They are written beside
the shards, to OUT.folds.csv, and kept by later builds. For data sets with several
records of a patient (PTB, PTB-XL, St Petersburg), name folds of your own with --folds.

Example: python -m data_prep.challenge --raw_dir challenge-2021/training/georgia \\
    --out shards/georgia

References:
    Perez Alday et al., 2020, doi 10.1088/1361-6579/abc960.
    Reyna et al., 2021, doi 10.23919/CinC53138.2021.9662687.
"""

import argparse
import dataclasses
import functools
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep import (
    build,
    command,
    cpsc2018,
    cpsc_format,
    csv_tables,
    folds,
    readers,
    record_files,
    shard_writer,
)
from mrm_jax.data import preprocessing
from mrm_jax.runtime import console

DATA_SET = "PhysioNet Challenge"
CODES = Path(__file__).with_name("challenge_codes.csv")
VERSION_DIGITS = 12  # of the SHA-256 of the records' codes
NAMED = 10  # unknown codes that are printed
_COLUMNS = {
    "code": csv_tables.text,
    "label": csv_tables.text,
    "scored": csv_tables.flag,
    "description": csv_tables.text,
}


@dataclasses.dataclass(frozen=True)
class Code:
    """A SNOMED CT code that the Challenges use."""

    label: str  # abbreviation; codes that count as the same class share it
    description: str
    scored: bool  # whether its class is scored in the Challenge 2021


@functools.cache
def known_codes() -> Mapping[str, Code]:
    """Returns the codes of the Challenges."""
    rows = csv_tables.read(CODES, "code", _COLUMNS)
    return {
        row.key: Code(
            row.values["label"], row.values["description"], row.values["scored"]
        )
        for row in rows
        if row.values
    }


def reading(sampling_rate: int, duration_s: float) -> readers.Reading:
    """Returns how records are converted."""
    return readers.Reading(
        read=record_files.reader(),
        source_rate=None,
        sampling_rate=sampling_rate,
        num_samples=round(duration_s * sampling_rate),
        length_policy=preprocessing.STRETCH_OR_CUT,
    )


def index(
    raw_dir: Path, out_dir: Path, folds_csv: Path | None = None, name: str | None = None
) -> build.Index:
    """Returns the records of a folder.

    Args:
        raw_dir: folder of headers and signal files, also in sub-folders.
        out_dir: folder of the shards, beside which new folds are written.
        folds_csv: table of folds. Default: the one beside the shards.
        name: name of the data set. Default: "PhysioNet Challenge (FOLDER)".

    Raises:
        ValueError: if there are no records, one exists twice, or a table is invalid.
    """
    if folds_csv and not folds_csv.is_file():
        raise ValueError(f"--folds: {folds_csv} was not found")
    paths = cpsc2018.find_records(raw_dir)
    codes = {key: _read_codes(path) for key, path in paths.items()}
    _say_unknown(codes)
    names = list(codes)
    tables = {"scored": _table(codes, scored=True), "all": _table(codes, scored=False)}
    fold_of_record = folds.frozen(
        folds_csv or folds.file_beside(out_dir), names, tables["all"].matrix, names
    )
    content = repr(sorted(codes.items())).encode()
    return build.Index(
        data_set=name or f"{DATA_SET} ({raw_dir.resolve().name})",
        version=hashlib.sha256(content).hexdigest()[:VERSION_DIGITS],
        names=names,
        paths=list(paths.values()),
        folds=fold_of_record,
        tables={key: table for key, table in tables.items() if table.labels},
        sources={
            "Dx lines of the headers": hashlib.sha256(content).hexdigest(),
            "folds": hashlib.sha256(fold_of_record.tobytes()).hexdigest(),
        },
    )


def _read_codes(path: Path) -> list[str]:
    """Returns the codes of a record; early headers abbreviate CPSC2018's classes."""
    early = {label: codes[0] for label, _, codes in cpsc_format.CLASSES}
    return [early.get(code, code) for code in cpsc_format.read_codes(path)]


def _table(codes: Mapping[str, Sequence[str]], scored: bool) -> shard_writer.LabelTable:
    """Returns a label set: the scored classes, or all codes that occur.

    Args:
        codes: record -> its codes.
        scored: whether the set has all scored classes, and no other labels.
    """
    known = known_codes()
    used = {code for found in codes.values() for code in found}
    members: dict[str, list[str]] = {}  # label -> its codes
    for code, meaning in known.items():
        if meaning.scored or (not scored and code in used):
            members.setdefault(meaning.label, []).append(code)
    if not scored:
        for code in sorted(used - set(known)):
            members[code] = [code]
        members = {
            label: own for label, own in members.items() if used.intersection(own)
        }
    labels = sorted(members)
    place = {code: labels.index(label) for label in labels for code in members[label]}
    matrix = np.zeros((len(codes), len(labels)), np.uint8)
    for row, found in enumerate(codes.values()):
        matrix[row, [place[code] for code in found if code in place]] = 1
    described = tuple(_describe(members[label]) for label in labels)
    return shard_writer.LabelTable(
        tuple(labels), described, matrix, with_negatives=scored
    )


def _describe(codes: Sequence[str]) -> str:
    """Returns what a label means, with the codes that stand for it."""
    known = known_codes()
    text = known[codes[-1]].description if codes[-1] in known else "not in our table"
    return f"{text} (SNOMED CT {', '.join(codes)})"


def _say_unknown(codes: Mapping[str, Sequence[str]]) -> None:
    """Prints the codes that our table lacks, which are labels of their own."""
    found = Counter(code for own in codes.values() for code in own)
    unknown = {code: n for code, n in found.items() if code not in known_codes()}
    if unknown:
        listed = sorted(unknown, key=lambda code: -unknown[code])[:NAMED]
        counts = ", ".join(f"{code} ({unknown[code]:,})" for code in listed)
        console.say(
            f"{len(unknown)} codes are not among the Challenge's: {counts}. They are "
            "labels of the set all."
        )


def _parser() -> argparse.ArgumentParser:
    flags = command.parser(__doc__)
    add = flags.add_argument
    help_ = (
        "table with the columns record and fold, to which new records are added "
        "(default: OUT.folds.csv)"
    )
    add("--folds", type=Path, metavar="CSV", help=help_)
    help_ = "name of the data set (default: PhysioNet Challenge and the raw folder)"
    add("--name", metavar="NAME", help=help_)
    help_ = "sampling rate of the shards (default: %(default)s)"
    add("--shard_rate", type=int, default=100, metavar="HZ", help=help_)
    help_ = "length of each record in the shards, in seconds (default: %(default)s)"
    add("--duration", type=float, default=10.0, metavar="S", help=help_)
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = _parser().parse_args(argv)
    return command.run(
        lambda _: index(args.raw_dir, args.out_dir, args.folds, args.name),
        reading(args.shard_rate, args.duration),
        args,
    )


if __name__ == "__main__":
    sys.exit(main())
