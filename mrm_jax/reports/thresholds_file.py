"""Reads and writes thresholds.json, the thresholds of a run's best epoch.

The file holds the epoch, the names of the labels, and the thresholds and temperature of
each head. `metrics.thresholds` chooses the numbers.
"""

import dataclasses
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax.metrics import classification, thresholds
from mrm_jax.runtime import atomic, json_files

FILE = "thresholds.json"


@dataclasses.dataclass(frozen=True)
class _Content:
    """The content of the file."""

    epoch: int
    labels: tuple[str, ...]
    heads: dict[str, thresholds.Thresholds]
    chosen_on: str = "val"


def write(
    workdir: Path,
    labels: Sequence[str],
    of_heads: Mapping[str, thresholds.Thresholds],
    epoch: int,
) -> None:
    """Writes the thresholds of each head into the folder of a run.

    Args:
        workdir: folder of the run.
        labels: [label], names of the labels.
        of_heads: thresholds by head.
        epoch: epoch whose validation scores they were chosen on.
    """
    heads = {head: dataclasses.asdict(chosen) for head, chosen in of_heads.items()}
    content = {
        "chosen_on": "val",
        "epoch": epoch,
        "labels": list(labels),
        "heads": heads,
    }
    with atomic.replacing(workdir / FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def read(
    workdir: Path, saved: Mapping[str, Any], epoch: int, heads: Sequence[str]
) -> dict[str, thresholds.Thresholds]:
    """Returns the thresholds of each head.

    A file for another epoch or other labels is ignored. All labels then share the
    threshold of the checkpoint's best Fmax or, if the run has no validation scores,
    0.5.

    Args:
        workdir: folder of the run.
        saved: metadata of the checkpoint, with its labels and its metrics, such as
            "val/fmax_threshold_mean".
        epoch: epoch of the checkpoint.
        heads: heads of the network.

    Raises:
        ValueError: if the file exists but is damaged.
    """
    content = _read(workdir / FILE, heads)
    labels, val_metrics = saved["data"]["labels"], saved["metrics"]
    if content is None or (content.epoch, content.labels) != (epoch, tuple(labels)):
        return {
            head: _same_for_all(
                val_metrics.get(f"val/fmax_threshold_{head}"), len(labels)
            )
            for head in heads
        }
    return content.heads


def _read(path: Path, heads: Sequence[str]) -> _Content | None:
    """Returns the content of the file, or None if there is none."""
    if not path.is_file():
        return None
    run = shlex.quote(str(path.parent))
    advice = (
        f"Delete it, and write it again with `python -m mrm_jax.evaluate --run {run}`."
    )
    content = json_files.convert(json_files.load(path, advice), _Content, path, advice)
    if set(content.heads) != set(heads):
        raise json_files.damaged(path, f"expected the heads {tuple(heads)}", advice)
    for head, chosen in content.heads.items():
        if len(chosen.by_label) != len(content.labels):
            why = f"heads.{head}.by_label: expected {len(content.labels)} numbers"
            raise json_files.damaged(path, why, advice)
        numbers = (chosen.overall, *chosen.by_label)
        if not all(math.isfinite(value) for value in (*numbers, chosen.temperature)):
            raise json_files.damaged(path, f"heads.{head}: expected numbers", advice)
        if not chosen.temperature > 0:
            why = f"heads.{head}.temperature: expected a positive number"
            raise json_files.damaged(path, why, advice)
    return content


def _same_for_all(threshold: float | None, num_labels: int) -> thresholds.Thresholds:
    source = thresholds.NOT_CHOSEN if threshold is None else thresholds.OF_ALL
    value = classification.THRESHOLD if threshold is None else threshold
    return thresholds.Thresholds(value, (value,) * num_labels, source=source)
