"""A trained run as something to use: the network, its weights, and what they expect."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from mrm_jax.data import shards
from mrm_jax.metrics import thresholds
from mrm_jax.models.mrm_net import network
from mrm_jax.reports import thresholds_file
from mrm_jax.training import checkpoints, metadata, run_spec, train_state

NEEDED = tuple(
    "leads sampling_rate num_samples unit length_rule mean_uv std_uv".split()
)


DEFAULT_NUM_SAMPLES = 1000  # of weights that came without data


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run's best epoch, on the host."""

    workdir: Path
    epoch: int
    model: network.MRMNet  # for one device: axis_name is None
    state: train_state.TrainState
    thresholds: Mapping[str, thresholds.Thresholds]  # by head: high, low, mean
    facts: dict[str, Any]  # of the checkpoint: config, data, versions, metrics, ...

    @property
    def data(self) -> dict[str, Any]:
        """What the network expects, by metadata.DATA_FACTS; None is unknown."""
        return self.facts["data"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the outputs, in their order."""
        return tuple(self.data["labels"])

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.state.params, "batch_stats": self.state.batch_stats}


def read(workdir: Path | str, newest: bool = False) -> TrainedRun:
    """Returns a run's best epoch on validation.

    Args:
        workdir: of a run with a finished epoch; its checkpoints are enough.
        newest: take the newest epoch, to train on, instead.

    Raises:
        ValueError: if there is no checkpoint.
    """
    workdir = Path(workdir)
    with checkpoints.open_existing(workdir) as manager:
        epoch = manager.latest_step() if newest else manager.best_step()
        facts = checkpoints.read_facts(manager, epoch)
        model = _model(facts)
        state = checkpoints.restore(manager, epoch, train_state.shapes(model))
    chosen = thresholds_file.read(
        workdir, facts["data"]["labels"], facts["metrics"], epoch
    )
    return TrainedRun(workdir, epoch, model, jax.device_get(state), chosen, facts)


def _model(facts: Mapping[str, Any]) -> network.MRMNet:
    config, data = run_spec.saved_config(facts), facts["data"]
    num_samples = data["num_samples"] or DEFAULT_NUM_SAMPLES
    return run_spec.network(config, len(data["labels"]), num_samples).clone(
        axis_name=None
    )


def require_data_spec(run: TrainedRun) -> None:
    """Refuses weights that came without their data, such as PyTorch's.

    Raises:
        ValueError: naming what is unknown.
    """
    unknown = _unknown(run)
    if unknown:
        raise ValueError(
            f"{run.workdir}: weights without data, {', '.join(unknown)} are "
            "unknown; name the shards they were trained on: --data SHARDS, or "
            "mrm_jax.load(..., data=SHARDS)"
        )


def with_data_spec(run: TrainedRun, shards_dir: Path | str) -> TrainedRun:
    """Returns a run that did not know its data, with what shards say of it.

    Raises:
        ValueError: if the run knows its data, or the shards have other labels.
    """
    if not _unknown(run):
        raise ValueError(
            f"{run.workdir}: knows the data it was trained on; leave the shards out"
        )
    data = shards.load(shards_dir)
    facts = metadata.describe_data(data.manifest, data.label_set_of(run.labels))
    return dataclasses.replace(
        run,
        facts=run.facts | {"data": facts},
        model=run.model.clone(num_samples=facts["num_samples"]),
    )


def _unknown(run: TrainedRun) -> list[str]:
    return [name for name in NEEDED if run.data[name] is None]
