"""The folder of a run while it trains: newest state, metrics, checkpoints."""

import math
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from mrm_jax.metrics import classification
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.training import checkpoints, metadata, metrics_log, run_spec, train_state


class RunFolder:
    """What a run continues from, and what its epochs leave; a context manager."""

    def __init__(self, spec: run_spec.RunSpec, workdir: Path):
        """Opens the folder, or makes it.

        Raises:
            ValueError: if it holds another run.
        """
        self._plan, self._workdir = spec, workdir
        self._manager = checkpoints.open_manager(workdir)
        newest = self._manager.latest_step()
        if newest is not None:
            saved = checkpoints.read_metadata(self._manager, newest)
            metadata.check_same_run(saved, spec.metadata, workdir)
        self.epochs_done = newest or 0
        self._writer = metrics_log.MetricWriter(workdir, self.epochs_done + 1)
        done = metrics_log.read(workdir)
        self.best_value = max(
            (line[spec.selection] for line in done), default=-math.inf
        )

    def state(self) -> train_state.TrainState:
        """Returns the newest state, or that before the first step."""
        model = self._plan.model
        if not self.epochs_done:
            return train_state.create(jax.random.PRNGKey(self._plan.seed), model)
        like = train_state.shapes(model)
        return checkpoints.restore(self._manager, self.epochs_done, like)

    def record(
        self,
        terms: dict[str, float],
        val: SplitScores,
        state: train_state.TrainState,
    ) -> dict[str, float]:
        """Writes what the next epoch left, and returns its metrics by name.

        Args:
            terms: means over the epoch's training records.
            val: scores of the validation split after it.
            state: after it, on the host.
        """
        self.epochs_done += 1
        values = epoch_values(terms, val)
        record(self._manager, self._writer, self._plan, self.epochs_done, values, state)
        self.best_value = max(self.best_value, values[self._plan.selection])
        return values

    def __enter__(self) -> "RunFolder":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self.close()

    def wait(self) -> None:
        """Waits for checkpoints that are being written."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for checkpoints that are being written, and closes the files."""
        self._writer.close()
        self._manager.close()


def record(
    manager: ocp.CheckpointManager,
    writer: metrics_log.MetricWriter,
    spec: run_spec.RunSpec,
    epoch: int,
    values: dict[str, float],
    state: train_state.TrainState,
) -> None:
    """Writes the metrics of an epoch, and its checkpoint in the background.

    Args:
        manager: of the run's checkpoints.
        writer: of its metrics.
        spec: of the run.
        epoch: its number, from 1.
        values: from `epoch_values`.
        state: after the epoch, on the host.
    """
    writer.write(epoch, values)
    facts = spec.metadata | {"epoch": epoch, "metrics": values}
    checkpoints.save(manager, epoch, state, facts, values[spec.selection])


def epoch_values(terms: dict[str, float], val: SplitScores) -> dict[str, float]:
    """Returns the metrics of an epoch by name, such as "val/macro_auc_mean"."""
    values = {f"train/{name}": value for name, value in terms.items()}
    for head, scores in val.heads.items():
        found = classification.evaluate(scores, val.labels)
        values |= {f"val/{name}_{head}": value for name, value in found.items()}
    return values
