"""Reads back the metadata of an export, which `interop.metadata.describe` writes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mrm_jax.metrics.thresholds import Thresholds
from mrm_jax.training import metadata

RUN_KEYS = ("epoch", "epochs_trained", "config", "command", "versions", "metrics")


class _Head(msgspec.Struct):
    """Thresholds of one head; None stands for NaN."""

    overall: float | None
    by_label: dict[str, float | None]
    temperature: float | None
    source: str


class _Description(msgspec.Struct):
    """The parts of the metadata from which a run can be read."""

    labels: tuple[str, ...]
    thresholds: dict[str, _Head]
    run: dict[str, Any]


def check(described: Mapping[str, Any], path: Path) -> None:
    """Checks that the metadata of an export describe a run.

    Args:
        described: metadata of the export.
        path: its file, for the message.

    Raises:
        ValueError: if a part is missing or has another type.
    """
    try:
        found = msgspec.convert(described, _Description)
    except msgspec.ValidationError as error:
        raise _invalid(path, str(error)) from None
    missing = [
        key for key in metadata.DATA_KEYS if key not in {**described, **found.run}
    ]
    missing += [key for key in RUN_KEYS if key not in found.run]
    if missing:
        raise _invalid(path, f"missing: {', '.join(missing)}")
    for head in found.thresholds.values():
        if set(head.by_label) != set(found.labels):
            raise _invalid(path, "thresholds: expected one for each label")


def check_heads(described: Mapping[str, Any], heads: Sequence[str], path: Path) -> None:
    """Checks that an export has the thresholds of its network's heads.

    Args:
        described: metadata that passed `check`.
        heads: heads of the network.
        path: file of the export, for the message.

    Raises:
        ValueError: if it has not.
    """
    if set(described["thresholds"]) != set(heads):
        raise _invalid(path, f"thresholds: expected the heads {tuple(heads)}")


def _invalid(path: Path, why: str) -> ValueError:
    return ValueError(
        f"{path}: its metadata do not describe a run ({why}). Files of version 0.1.0 "
        "lack some. Export the run again."
    )


def checkpoint_metadata(described: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the metadata of the checkpoint that was exported.

    Args:
        described: metadata that passed `check`.
    """
    run = described["run"]
    data = {
        key: run[key] if key in run else described[key] for key in metadata.DATA_KEYS
    }
    return {"data": data, **{key: run[key] for key in RUN_KEYS}}


def thresholds(described: Mapping[str, Any]) -> dict[str, Thresholds]:
    """Returns the thresholds of each head.

    Args:
        described: metadata that passed `check`.
    """
    labels = described["labels"]
    return {
        head: Thresholds(
            _number(found["overall"]),
            tuple(_number(found["by_label"][label]) for label in labels),
            _number(found["temperature"]),
            found["source"],
        )
        for head, found in described["thresholds"].items()
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else value
