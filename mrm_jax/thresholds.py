"""Which scores count as a finding: chosen on validation, kept with the run."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mrm_jax import atomic, metrics, ranking, temperature_scaling, types
from mrm_jax.ranking import Labels, Scores

FILE = "thresholds.json"
OF_LABELS = "each label's own, chosen on validation"
OF_ALL = "one for all labels, chosen on validation"
NOT_CHOSEN = "not chosen"
SOURCES = (OF_LABELS, OF_ALL, NOT_CHOSEN)


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Of one head's scores; a score that reaches its threshold is a finding."""

    overall: float  # one for all labels, that of the best Fmax
    by_label: tuple[float, ...]  # [label], each of the label's best F1
    temperature: float = 1.0  # divides logits, so that scores are probabilities
    source: str = OF_LABELS  # what by_label holds; one of SOURCES


def choose(val: types.SplitScores) -> dict[str, Thresholds]:
    """Returns the thresholds and the temperature of each head, from validation scores.

    A label that has one class only in the split says nothing of where to part them,
    and takes the threshold of all.

    Raises:
        ValueError: as `metrics.check`.
    """
    return {head: _choose(scores, val.labels) for head, scores in val.heads.items()}


def _choose(scores: Scores, labels: Labels) -> Thresholds:
    metrics.check(scores, labels)
    curve = metrics.f_curve(scores, labels)
    overall = float(metrics.FMAX_THRESHOLDS[curve.argmax()])
    by_label = np.where(
        metrics.has_both_classes(labels), best_f1(scores, labels), overall
    )
    temperature = temperature_scaling.fit(scores, labels)
    return Thresholds(overall, tuple(by_label.tolist()), temperature)


def best_f1(scores: Scores, labels: Labels) -> Float[np.ndarray, " label"]:
    """Returns the threshold of the best F1 of each label.

    Every way to part the records is tried. A threshold lies halfway between two
    neighbouring scores, so that records of one score are all found or all missed; below
    the lowest score it lies halfway to 0. Of equally good ones it is the lowest, as for
    Fmax: it misses the fewest.
    """
    ranked = ranking.rank(scores)
    sorted_scores = np.take_along_axis(scores, ranked.order, axis=0).astype(np.float64)
    hits = np.take_along_axis(labels, ranked.order, axis=0)
    right = hits.cumsum(axis=0, dtype=np.int64)
    found = np.arange(1, len(scores) + 1)[:, np.newaxis]  # down to this place
    f1 = 2 * right / (found + right[-1:])
    f1[ranked.tie_end != found] = -1  # would part a tie
    best = len(f1) - 1 - f1[::-1].argmax(axis=0)
    places = np.stack([best, best + 1])
    below_all = np.zeros((1, scores.shape[1]))
    upper, lower = np.take_along_axis(
        np.concatenate([sorted_scores, below_all]), places, axis=0
    )
    middle = (upper + lower) / 2
    return np.where(middle > lower, middle, upper)  # where floats have nothing between


def write(
    workdir: Path, labels: Sequence[str], of_heads: Mapping[str, Thresholds], epoch: int
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
) -> dict[str, Thresholds]:
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
        head: Thresholds(**fields | {"by_label": tuple(fields["by_label"])})
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


def _same_for_all(threshold: float | None, num_labels: int) -> Thresholds:
    source = NOT_CHOSEN if threshold is None else OF_ALL
    value = metrics.THRESHOLD if threshold is None else threshold
    return Thresholds(value, (value,) * num_labels, source=source)
