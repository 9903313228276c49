"""A trained run as something to use: the network, its weights, and what they expect."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from mrm_jax import checkpoints, thresholds, train_state, trainer
from mrm_jax.models import mrm_net

DEFAULT_NUM_SAMPLES = 1000  # of weights that came without data


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run's best epoch, on the host."""

    workdir: Path
    epoch: int
    model: mrm_net.MRMNet  # for one device: axis_name is None
    state: train_state.TrainState
    thresholds: Mapping[str, thresholds.Thresholds]  # by head: high, low, mean
    facts: dict[str, Any]  # of the checkpoint: config, data, versions, metrics, ...

    @property
    def data(self) -> dict[str, Any]:
        """What the network expects, by run_facts.DATA_FACTS; None is unknown."""
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
    chosen = thresholds.read(workdir, facts["data"]["labels"], facts["metrics"], epoch)
    return TrainedRun(workdir, epoch, model, jax.device_get(state), chosen, facts)


def _model(facts: Mapping[str, Any]) -> mrm_net.MRMNet:
    config, data = trainer.saved_config(facts), facts["data"]
    num_samples = data["num_samples"] or DEFAULT_NUM_SAMPLES
    return trainer.network(config, len(data["labels"]), num_samples).clone(
        axis_name=None
    )
