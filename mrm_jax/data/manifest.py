"""The manifest of a folder of shards, and its JSON file."""

import dataclasses
import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax import version
from mrm_jax.data import leads as leads_lib
from mrm_jax.runtime import json_files

FORMAT_VERSION = 1
UNIT = "uV"
SPLIT_FOLDS = {"train": (1, 2, 3, 4, 5, 6, 7, 8), "val": (9,), "test": (10,)}
MANIFEST = "manifest.json"
# Field -> JSON key, where they differ: manifests on disk have these keys.
JSON_KEYS = {"num_skipped": "num_rejected", "length_policy": "length_rule"}
JSON_FIELDS = {key: field for field, key in JSON_KEYS.items()}
OPTIONAL = {"with_negatives"}  # fields that manifests may lack
ADVICE = "Build the shards again."


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """The manifest's entry of one label set."""

    labels: tuple[str, ...]
    descriptions: tuple[str, ...]
    mean_uv: float  # over samples and leads of the set's training records
    std_uv: float  # population standard deviation, likewise
    records: dict[str, int]  # split -> records, see with_negatives
    label_counts: dict[str, dict[str, int]]  # split -> label -> records
    has_first_label: bool
    # Whether records without any label are used, as negatives of all labels.
    with_negatives: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields, without new ones that earlier versions do not read."""
        fields = dataclasses.asdict(self)
        if not self.with_negatives:
            del fields["with_negatives"]
        return fields

    def with_counts(
        self, matrix: np.ndarray, rows: Mapping[str, np.ndarray]
    ) -> "LabelSet":
        """Returns the entry with the numbers of records and labels of other splits.

        Args:
            matrix: [record, label], 0 or 1, of all records.
            rows: split -> indices of its records.
        """
        counts = {split: matrix[own].sum(axis=0) for split, own in rows.items()}
        return dataclasses.replace(
            self,
            records={split: len(own) for split, own in rows.items()},
            label_counts={
                split: dict(zip(self.labels, map(int, count), strict=True))
                for split, count in counts.items()
            },
        )


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The description of a folder of shards."""

    data_set: str
    data_set_version: str
    sampling_rate: int  # Hz
    num_samples: int
    num_records: int
    num_skipped: int  # records that could not be prepared
    length_policy: str  # one of preprocessing.LENGTH_POLICIES
    label_sets: dict[str, LabelSet]
    sources: dict[str, str]  # name of a label table -> SHA-256
    files: dict[str, str]  # file of this folder -> SHA-256
    leads: tuple[str, ...] = leads_lib.LEADS
    unit: str = UNIT
    split_folds: dict[str, tuple[int, ...]] = dataclasses.field(
        default_factory=lambda: dict(SPLIT_FOLDS)
    )
    format_version: int = FORMAT_VERSION
    tool_version: str = version.VERSION


def read(folder: Path | str) -> Manifest:
    """Returns the manifest of a folder of shards.

    Raises:
        ValueError: if there is none, it is damaged, or it has another format version.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        out = shlex.quote(str(folder))
        raise ValueError(
            f"{path} was not found. Build the shards first, for example with "
            f"`python -m data_prep.ptbxl --raw_dir RAW --out {out}`."
        )
    fields = json_files.load(path, ADVICE)
    found = fields.get("format_version") if isinstance(fields, dict) else None
    if found != FORMAT_VERSION:
        raise ValueError(
            f"{path}: expected format version {FORMAT_VERSION}, found {found}. "
            "Build the shards again with this version of mrm_jax."
        )
    named = {JSON_FIELDS.get(key, key): value for key, value in fields.items()}
    named.pop(json_files.CHECKSUM, None)
    _check_fields(path, Manifest, named)
    entries = json_files.convert(
        named["label_sets"], dict[str, dict[str, Any]], path, ADVICE
    )
    for entry in entries.values():
        _check_fields(path, LabelSet, entry)
    manifest = json_files.convert(named, Manifest, path, ADVICE)
    problem = _problem(manifest)
    if problem:
        raise json_files.damaged(path, problem, ADVICE)
    json_files.unsealed(fields, path, ADVICE)
    return manifest


def write(manifest: Manifest, folder: Path) -> None:
    """Writes the manifest of a folder of shards."""
    fields = dataclasses.asdict(manifest)
    fields["label_sets"] = {
        name: label_set.to_dict() for name, label_set in manifest.label_sets.items()
    }
    entries = {JSON_KEYS.get(name, name): value for name, value in fields.items()}
    text = json.dumps(json_files.sealed(entries), indent=1)
    (folder / MANIFEST).write_text(text + "\n")


def _check_fields(path: Path, record: type, fields: dict[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(record)}
    fields = dict.fromkeys(known & OPTIONAL) | fields
    if set(fields) != known:
        raise ValueError(
            f"{path}: missing {sorted(known - set(fields))}, "
            f"unknown {sorted(set(fields) - known)}. Build the shards again."
        )


def _problem(manifest: Manifest) -> str:
    """Returns what makes a manifest impossible, or an empty text."""
    if manifest.sampling_rate < 1 or manifest.num_samples < 1:
        return "sampling_rate and num_samples have to be positive"
    if min(manifest.num_records, manifest.num_skipped) < 0:
        return "num_records and num_skipped cannot be negative"
    if set(manifest.split_folds) != set(SPLIT_FOLDS):
        return f"split_folds: expected {', '.join(SPLIT_FOLDS)}"
    folds = [fold for split in manifest.split_folds.values() for fold in split]
    if len(set(folds)) < len(folds):
        return "split_folds: a fold is in two splits"
    outside = [name for name in manifest.files if Path(name).name != name]
    if outside:
        return f"files: expected files of this folder, found {outside[0]!r}"
    names = [manifest.data_set, manifest.data_set_version, *manifest.label_sets]
    for label_set in manifest.label_sets.values():
        names += [*label_set.labels, *label_set.descriptions]
    strange = [name for name in names if not name.isprintable()]
    if strange:
        return f"control characters in the name {strange[0]!r}"
    for name, label_set in manifest.label_sets.items():
        problem = _problem_of_labels(label_set)
        if problem:
            return f"label set {name}: {problem}"
    return ""


def _problem_of_labels(label_set: LabelSet) -> str:
    labels = label_set.labels
    if not labels or len(set(labels)) < len(labels):
        return "the labels have to be different, and at least one"
    if len(label_set.descriptions) != len(labels):
        return f"{len(label_set.descriptions)} descriptions of {len(labels)} labels"
    if not (math.isfinite(label_set.mean_uv) and math.isfinite(label_set.std_uv)):
        return "mean_uv and std_uv have to be finite"
    if not label_set.std_uv > 0:
        return f"std_uv has to be positive, found {label_set.std_uv:g}"
    if set(label_set.records) != set(SPLIT_FOLDS):
        return f"records: expected {', '.join(SPLIT_FOLDS)}"
    return ""


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
