"""The manifest of a folder of shards, and its JSON file."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from mrm_jax import version
from mrm_jax.data import leads as leads_lib

FORMAT_VERSION = 1
UNIT = "uV"
SPLIT_FOLDS = {"train": (1, 2, 3, 4, 5, 6, 7, 8), "val": (9,), "test": (10,)}
MANIFEST = "manifest.json"
# Field -> JSON key, where they differ: manifests on disk have these keys.
JSON_KEYS = {"num_skipped": "num_rejected", "length_policy": "length_rule"}


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """The manifest's entry of one label set."""

    labels: tuple[str, ...]
    descriptions: tuple[str, ...]
    mean_uv: float  # over samples and leads of the set's training records
    std_uv: float  # population standard deviation, likewise
    records: dict[str, int]  # split -> records with a label of the set
    label_counts: dict[str, dict[str, int]]  # split -> label -> records
    has_first_label: bool


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
        raise ValueError(
            f"{path} was not found. Build the shards first, for example with "
            f"`python -m data_prep.ptbxl --raw_dir RAW --out {folder}`."
        )
    try:
        fields = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not JSON ({error}). Build the shards again."
        ) from None
    found = fields.get("format_version") if isinstance(fields, dict) else None
    if found != FORMAT_VERSION:
        raise ValueError(
            f"{path}: expected format version {FORMAT_VERSION}, found {found}. "
            "Build the shards again with this version of mrm_jax."
        )
    field_of = {key: name for name, key in JSON_KEYS.items()}
    fields = {field_of.get(key, key): value for key, value in fields.items()}
    _check_fields(path, Manifest, fields)
    for name, entry in fields["label_sets"].items():
        _check_fields(path, LabelSet, entry)
        fields["label_sets"][name] = LabelSet(**_tuples(entry))
    fields["split_folds"] = _tuples(fields["split_folds"])
    return Manifest(**_tuples(fields))


def write(manifest: Manifest, folder: Path) -> None:
    """Writes the manifest of a folder of shards."""
    fields = dataclasses.asdict(manifest)
    entries = {JSON_KEYS.get(name, name): value for name, value in fields.items()}
    (folder / MANIFEST).write_text(json.dumps(entries, indent=1) + "\n")


def _check_fields(path: Path, record: type, fields: dict[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(record)}
    if set(fields) != known:
        raise ValueError(
            f"{path}: missing {sorted(known - set(fields))}, "
            f"unknown {sorted(set(fields) - known)}. Build the shards again."
        )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields with tuples in place of JSON's lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
