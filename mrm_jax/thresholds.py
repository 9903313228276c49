"""Which scores count as a finding: chosen on validation, kept with the run."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax import atomic, metrics

FILE = "thresholds.json"


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Of one head's scores; a score that reaches its threshold is a finding."""

    overall: float  # one for all labels, that of the best Fmax
    by_label: tuple[float, ...]  # [label], each of the label's best F1
    temperature: float = 1.0  # divides logits, so that scores are probabilities


def write(
    workdir: Path, labels: Sequence[str], of_heads: Mapping[str, Thresholds]
) -> None:
    """Writes the thresholds of each head into a run's folder."""
    heads = {head: dataclasses.asdict(chosen) for head, chosen in of_heads.items()}
    content = {"chosen_on": "val", "labels": list(labels), "heads": heads}
    with atomic.replacing(workdir / FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def read(
    workdir: Path, labels: Sequence[str], val_metrics: Mapping[str, Any]
) -> dict[str, Thresholds]:
    """Returns the thresholds of each head.

    A run that was not evaluated has none of its own for each label, and one that came
    without validation scores has none at all: the next best is taken.

    Args:
        workdir: of the run.
        labels: of its outputs.
        val_metrics: those of a checkpoint, such as "val/fmax_threshold_mean".

    Raises:
        ValueError: if the file is of other labels.
    """
    path = workdir / FILE
    if not path.is_file():
        return {
            head: _same_for_all(
                val_metrics.get(f"val/fmax_threshold_{head}", metrics.THRESHOLD),
                len(labels),
            )
            for head in ("high", "low", "mean")
        }
    content = json.loads(path.read_text())
    if content["labels"] != list(labels):
        raise ValueError(
            f"{path}: expected thresholds of {list(labels)}, found those of "
            f"{content['labels']}; write them anew with mrm_jax.evaluate"
        )
    return {
        head: Thresholds(**fields | {"by_label": tuple(fields["by_label"])})
        for head, fields in content["heads"].items()
    }


def _same_for_all(threshold: float, num_labels: int) -> Thresholds:
    return Thresholds(threshold, (threshold,) * num_labels)
