"""Reads and writes thresholds.json, the thresholds of a run's best epoch.

The file holds the epoch, the names of the labels, and the thresholds and temperature of
each head. `metrics.thresholds` chooses the numbers.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax.metrics import classification, scores, thresholds
from mrm_jax.runtime import atomic

FILE = "thresholds.json"


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
    workdir: Path, labels: Sequence[str], val_metrics: Mapping[str, Any], epoch: int
) -> dict[str, thresholds.Thresholds]:
    """Returns the thresholds of each head.

    A file for another epoch or other labels is ignored. All labels then share the
    threshold of the checkpoint's best Fmax or, if the run has no validation scores,
    0.5.

    Args:
        workdir: folder of the run.
        labels: [label], names of the network's outputs.
        val_metrics: metrics of the checkpoint, such as "val/fmax_threshold_mean".
        epoch: epoch of the checkpoint.

    Raises:
        ValueError: if the file exists but is not valid JSON.
    """
    content = _read(workdir / FILE)
    if (content.get("epoch"), content.get("labels")) != (epoch, list(labels)):
        return {
            head: _same_for_all(
                val_metrics.get(f"val/fmax_threshold_{head}"), len(labels)
            )
            for head in scores.HEADS
        }
    return {
        head: thresholds.Thresholds(**fields | {"by_label": tuple(fields["by_label"])})
        for head, fields in content["heads"].items()
    }


def _read(path: Path) -> dict[str, Any]:
    """Returns the content of the file, or {} if there is none."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}). Delete it and run mrm_jax.evaluate, "
            "which writes it again."
        ) from None


def _same_for_all(threshold: float | None, num_labels: int) -> thresholds.Thresholds:
    source = thresholds.NOT_CHOSEN if threshold is None else thresholds.OF_ALL
    value = classification.THRESHOLD if threshold is None else threshold
    return thresholds.Thresholds(value, (value,) * num_labels, source=source)
