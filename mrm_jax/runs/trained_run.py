"""A trained run on disk: metadata, thresholds and weights, which are read when used.

Evaluation, prediction, export and conversion all read a run with `read`.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from mrm_jax.data import shards
from mrm_jax.metrics import thresholds
from mrm_jax.models.mrm_net import network
from mrm_jax.reports import run_report, thresholds_file
from mrm_jax.training import checkpoints, run_spec, saved_metadata, train_state
from mrm_jax.training import metadata as metadata_lib

INPUT_SPEC = tuple(
    "leads sampling_rate num_samples unit length_rule mean_uv std_uv".split()
)
DEFAULT_NUM_SAMPLES = 1000  # for runs that were imported without a data set


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """One epoch of a run, by default the best one on validation."""

    workdir: Path
    epoch: int
    epochs_trained: int
    thresholds: Mapping[str, thresholds.Thresholds]  # by head: high, low, mean
    metadata: dict[str, Any]  # of the checkpoint: config, data, versions, metrics, ...

    @property
    def data(self) -> dict[str, Any]:
        """The data set that the network expects, by DATA_KEYS; None means unknown."""
        return self.metadata["data"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the outputs, in their order."""
        return tuple(self.data["labels"])

    @functools.cached_property
    def model(self) -> network.MRMNet:
        """The network for one device: `axis_name` is None."""
        config = run_spec.saved_config(self.metadata)
        num_samples = self.data["num_samples"] or DEFAULT_NUM_SAMPLES
        model = run_spec.network(config, len(self.labels), num_samples)
        return model.clone(axis_name=None)

    @functools.cached_property
    def state(self) -> train_state.TrainState:
        """The state at the end of the epoch, restored to the host at its first use."""
        with checkpoints.open_existing(self.workdir) as manager:
            like = train_state.shapes(self.model)
            return jax.device_get(checkpoints.restore(manager, self.epoch, like))

    @property
    def variables(self) -> dict[str, Any]:
        """The arguments of `model.apply`."""
        return {"params": self.state.params, "batch_stats": self.state.batch_stats}

    def require_data_spec(self) -> None:
        """Checks that the run knows the data set that it was trained on.

        Raises:
            ValueError: if the run was imported without it, for example from PyTorch.
        """
        unknown = self._unknown()
        if unknown:
            raise ValueError(
                f"{self.workdir}: this run was imported without its data set, so "
                f"{', '.join(unknown)} are unknown. Name the shards that it was "
                "trained on with `--data SHARDS` or `mrm_jax.load(..., data=SHARDS)`."
            )

    def with_data_spec(self, data: shards.Shards) -> "TrainedRun":
        """Adds the data set of shards to a run that was imported without its data set.

        Raises:
            ValueError: if the run knows its data set, or the shards have other labels.
        """
        if not self._unknown():
            raise ValueError(
                f"{self.workdir}: this run knows the data set that it was trained on. "
                "Leave out the shards."
            )
        found = metadata_lib.describe_data(
            data.manifest, data.label_set_of(self.labels)
        )
        return self._with_data(found)

    def with_reported_data(self) -> "TrainedRun":
        """Returns the run with the data set of its report if it knows none itself.

        A run that was imported without its data set adopts the first one on which it
        is evaluated.
        """
        if self.data["sha256"] is not None or not run_report.exists(self.workdir):
            return self
        reported = run_report.read(self.workdir)["facts"]
        return self._with_data({key: reported[key] for key in metadata_lib.DATA_KEYS})

    def _with_data(self, data: dict[str, Any]) -> "TrainedRun":
        return dataclasses.replace(self, metadata=self.metadata | {"data": data})

    def _unknown(self) -> list[str]:
        return [name for name in INPUT_SPEC if self.data[name] is None]


def read(workdir: Path | str, newest: bool = False) -> TrainedRun:
    """Reads a run, without its weights.

    Args:
        workdir: folder of a run with a finished epoch. Its checkpoints are enough.
        newest: whether to read the newest epoch, for training, instead of the best.

    Raises:
        ValueError: if there is no checkpoint, or it is damaged.
    """
    workdir = Path(workdir)
    with checkpoints.open_existing(workdir) as manager:
        epochs_trained = manager.latest_step()
        epoch = epochs_trained if newest else checkpoints.best_epoch(manager)
        saved = checkpoints.read_metadata(manager, epoch)
    saved_metadata.check(saved, run_spec.CONFIG_DEFAULTS_SINCE, workdir)
    chosen = thresholds_file.read(
        workdir, saved["data"]["labels"], saved["metrics"], epoch
    )
    return TrainedRun(workdir, epoch, epochs_trained, chosen, saved)
