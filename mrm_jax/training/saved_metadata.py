"""The shape of the metadata in a checkpoint, which may come from a stranger."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections
import msgspec

from mrm_jax.data import leads
from mrm_jax.runtime import text
from mrm_jax.training import config as config_lib
from mrm_jax.training import config_defaults

LONGEST = 10**7  # samples of a window: 28 hours at 100 Hz
ADVICE = "Restore the run from a copy, or train it again."


class _Data(msgspec.Struct):
    """The data set; None is unknown, as in runs imported without one."""

    labels: tuple[str, ...]
    data_set: str | None
    data_set_version: str | None
    label_set: str | None
    descriptions: tuple[str, ...] | None
    records: dict[str, int] | None
    leads: tuple[str, ...] | None
    sampling_rate: int | None
    num_samples: int | None
    unit: str | None
    length_rule: str | None
    mean_uv: float | None
    std_uv: float | None
    sha256: str | None


class _Saved(msgspec.Struct):
    """The metadata that every checkpoint has."""

    config: dict[str, Any]
    data: _Data
    command: str
    metrics: dict[str, float | None] = {}


def check(saved: Mapping[str, Any], workdir: Path) -> None:
    """Checks the metadata of a checkpoint before anything is built from them.

    Args:
        saved: metadata of the checkpoint.
        workdir: folder of the run, for the message.

    Raises:
        ValueError: if a value is missing, has another type or is impossible.
    """
    try:
        found = msgspec.convert(saved, _Saved)
        config = ml_collections.ConfigDict(found.config)
        config_lib.check_types(config_defaults.fill(config))
        problem = _problem(found.data)
    except (msgspec.ValidationError, ValueError) as error:
        problem = str(error)
    if problem:
        raise ValueError(
            f"{workdir}: the metadata of its checkpoint are invalid ({problem}). "
            f"{ADVICE}"
        )


def _problem(data: _Data) -> str:
    """Returns what makes the data set impossible, or an empty text."""
    if not data.labels or len(set(data.labels)) < len(data.labels):
        return "the labels have to be different, and at least one"
    for label in data.labels:
        text.check_name("label", label)
    if data.descriptions is not None and len(data.descriptions) != len(data.labels):
        return f"{len(data.descriptions)} descriptions of {len(data.labels)} labels"
    if data.leads is not None:
        leads.check_subset(data.leads)
    if data.sampling_rate is not None and data.sampling_rate < 1:
        return "sampling_rate has to be positive"
    if data.num_samples is not None and not 1 <= data.num_samples <= LONGEST:
        return f"num_samples: expected 1 to {LONGEST:,}"
    if data.mean_uv is not None and not math.isfinite(data.mean_uv):
        return "mean_uv has to be finite"
    if data.std_uv is not None and not 0 < data.std_uv < math.inf:
        return "std_uv has to be positive and finite"
    return ""
