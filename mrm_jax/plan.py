"""What a configuration asks for, once it was read and checked."""

import dataclasses
from typing import Any

from mrm_jax import manifest, shards, types
from mrm_jax.models import mrm_net

HEADS = ("high", "low", "mean")


@dataclasses.dataclass(frozen=True)
class Plan:
    """One run: its data, its network and its recipe.

    Raises:
        ValueError: if a value is out of range.
    """

    name: str
    seed: int
    batch_size: int  # over all devices
    num_epochs: int
    selection_head: str  # its validation macro AUC picks the best epoch
    data: shards.Shards
    label_set: str
    resident_bytes: int | None  # larger splits are streamed; None: as memory allows
    model: mrm_net.MRMNet
    hparams: types.HParams
    facts: dict[str, Any]  # what travels inside every checkpoint

    def __post_init__(self) -> None:
        """Checks the values that nothing else checks."""
        for name in ("batch_size", "num_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name}: expected 1 or more, got {getattr(self, name)}"
                )
        if self.selection_head not in HEADS:
            raise ValueError(
                f"selection_head: expected one of {HEADS}, got {self.selection_head!r}"
            )

        _check_hparams(self.hparams)

    @property
    def selection(self) -> str:
        """The name of the metric that picks the best epoch."""
        return f"val/macro_auc_{self.selection_head}"

    @property
    def described_labels(self) -> manifest.LabelSet:
        """What the manifest says of the label set."""
        return self.data.manifest.label_sets[self.label_set]

    def headline(self) -> str:
        """Returns the data of the run in one line."""
        sizes = " / ".join(f"{n:,}" for n in self.described_labels.records.values())
        facts = self.data.manifest
        return (
            f"{self.name}: {facts.data_set} {facts.data_set_version}, label set "
            f"{self.label_set} with {self.model.num_labels} labels, {sizes} records "
            "(train / val / test)"
        )

    def epoch_line(self, epoch: int, values: dict[str, float]) -> str:
        """Returns the metrics of an epoch in one line."""
        aucs = (f"{head} {values[f'val/macro_auc_{head}']:.4f}" for head in HEADS)
        return (
            f"epoch {epoch}/{self.num_epochs}: loss {values['train/loss']:.4f}, "
            f"val macro AUC {', '.join(aucs)}, "
            f"{values['train/records_per_second']:.1f} records/s"
        )


def _check_hparams(hparams: types.HParams) -> None:
    ranges = {
        "learning_rate": (0, float("inf")),
        "weight_decay": (0, float("inf")),
        "temperature": (1e-6, float("inf")),
        "dropout_rate": (0, 1),
        "label_smoothing": (0, 1),
    }
    for name, (low, high) in ranges.items():
        value = float(getattr(hparams, name))
        if not low <= value < high:
            raise ValueError(
                f"hparams.{name}: expected {low} <= value < {high}, got {value}"
            )
