"""TODO mrm_jax.reports.thresholds_file."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax.metrics import classification, thresholds
from mrm_jax.runtime import atomic

FILE = "thresholds.json"


def write(
    workdir: Path,
    labels: Sequence[str],
    of_heads: Mapping[str, thresholds.Thresholds],
    epoch: int,
) -> None:
    """Writes the thresholds of each head into a run's folder.

    Args:
        workdir: of the run.
        labels: [label].
        of_heads: by head.
        epoch: whose scores they were chosen on; for another they do not count.
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

    A run that was not evaluated since its best epoch has none of its own for each
    label, and one that came without validation scores has none at all: the next best
    is taken.

    Args:
        workdir: of the run.
        labels: of its outputs.
        val_metrics: those of a checkpoint, such as "val/fmax_threshold_mean".
        epoch: of that checkpoint.

    Raises:
        ValueError: if there is a file that cannot be read.
    """
    content = _read(workdir / FILE)
    if (content.get("epoch"), content.get("labels")) != (epoch, list(labels)):
        return {
            head: _same_for_all(
                val_metrics.get(f"val/fmax_threshold_{head}"), len(labels)
            )
            for head in ("high", "low", "mean")
        }
    return {
        head: thresholds.Thresholds(**fields | {"by_label": tuple(fields["by_label"])})
        for head, fields in content["heads"].items()
    }


def _read(path: Path) -> dict[str, Any]:
    """Returns what the file holds, nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}: not JSON ({error}); delete it, mrm_jax.evaluate writes it anew"
        ) from None


def _same_for_all(threshold: float | None, num_labels: int) -> thresholds.Thresholds:
    source = thresholds.NOT_CHOSEN if threshold is None else thresholds.OF_ALL
    value = classification.THRESHOLD if threshold is None else threshold
    return thresholds.Thresholds(value, (value,) * num_labels, source=source)
