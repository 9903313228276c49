"""Folder of a run in training, with its resume point, metrics and checkpoints.

`mrm_jax.train` and the trials of a sweep resume and record their epochs here.
"""

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mrm_jax.metrics import calibration, classification
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.runtime import console, locks
from mrm_jax.training import (
    checkpoints,
    losses,
    metadata,
    metrics_log,
    run_spec,
    saved_metadata,
    train_state,
)
from mrm_jax.training.hparams import HParams


@dataclasses.dataclass(frozen=True)
class ResumePoint:
    """State and place from which the training of a run resumes."""

    state: train_state.TrainState  # on the host
    epoch: int  # the next one to train, from 1
    progress: dict[str, Any]  # `epoch.Epoch.progress`; empty at the start


class RunFolder:
    """Checkpoints and metrics of a run in training; a context manager."""

    def __init__(self, spec: run_spec.RunSpec, workdir: Path):
        """Opens the folder, or creates it.

        Raises:
            ValueError: if it holds a run with other settings, or another process is
                writing to it.
        """
        self._spec, self._workdir = spec, workdir
        with contextlib.ExitStack() as opened:
            opened.enter_context(locks.writing(workdir, "--workdir"))
            checkpoints.remove_deleted(workdir)
            self._manager = checkpoints.open_manager(workdir)
            opened.callback(self._manager.close)
            self.epochs_done = self._manager.latest_step() or 0
            if self.epochs_done:
                saved = checkpoints.read_metadata(self._manager, self.epochs_done)
                self._check_same_run(saved)
            self._writer = None
            lines = metrics_log.read(workdir, spec.selection)
            if self.epochs_done < spec.num_epochs:
                first = self.epochs_done + 1
                self._writer = metrics_log.MetricWriter(workdir, first)
                lines = [line for line in lines if line["epoch"] < first]
            self._values = [line[spec.selection] for line in lines]
            self._opened = opened.pop_all()

    def num_epochs_done(self) -> int:
        """Returns the number of finished epochs."""
        return self.epochs_done

    @property
    def best_value(self) -> float:
        """The largest validation metric so far, by which the epoch is selected."""
        found = max(self._values, default=-math.inf)
        if len(self._values) < self.epochs_done:  # metrics.jsonl was lost
            self.wait()
            best = checkpoints.read_metadata(self._manager, self.best_epoch())
            found = max(found, best["metrics"][self._spec.selection])
        return found

    @property
    def newest_value(self) -> float | None:
        """The validation metric of the last finished epoch; None if it is unknown."""
        is_known = 0 < self.epochs_done == len(self._values)
        return self._values[-1] if is_known else None

    def _has_no_patience(self) -> bool:
        return has_no_patience(self._values, self._spec.patience)

    def is_finished(self) -> bool:
        """Returns whether all epochs are trained, or the patience has run out."""
        return self.epochs_done >= self._spec.num_epochs or self._has_no_patience()

    def early_stop(self) -> str:
        """Describes why training ended before the last epoch; empty if it did not."""
        if self.epochs_done >= self._spec.num_epochs or not self._has_no_patience():
            return ""
        best = 1 + self._values.index(max(self._values))
        return (
            f"stopped early after epoch {self.epochs_done} of "
            f"{self._spec.num_epochs}: {self._spec.selection} has not risen since "
            f"epoch {best} (patience {self._spec.patience})"
        )

    def state(self) -> train_state.TrainState:
        """Returns the state after the last finished epoch, or the initial state."""
        if not self.epochs_done:
            spec, rng = self._spec, jax.random.PRNGKey(self._spec.seed)
            if spec.initial is not None:
                return train_state.begin(rng, spec.initial, spec.average_weights)
            return train_state.create(
                rng, spec.model, spec.num_leads, spec.average_weights
            )
        return self._restore(self.epochs_done)

    def best_state(self) -> train_state.TrainState:
        """Returns the state of the best epoch, once all checkpoints are written."""
        self.wait()
        return self._restore(self.best_epoch())

    def best_epoch(self) -> int:
        """Returns the best epoch on validation."""
        return checkpoints.best_epoch(self._manager)

    def resume_point(self) -> ResumePoint:
        """Returns where training resumes: within an epoch, after one, or at the start.

        Raises:
            ValueError: if the unfinished epoch belongs to a run with other settings.
        """
        saved = checkpoints.read_unfinished_metadata(self._workdir)
        if saved and saved["epoch"] == self.epochs_done + 1:
            self._check_same_run(saved)
            progress = checkpoints.progress_of(saved)
            console.say(
                f"resuming after step {progress['steps_done']} of epoch "
                f"{saved['epoch']}"
            )
            state = checkpoints.restore_unfinished(self._workdir, self._shapes())
            return ResumePoint(state, saved["epoch"], progress)
        self.discard_unfinished()  # its epoch has been finished since
        if self.epochs_done:
            console.say(f"resuming after epoch {self.epochs_done}")
        state = jax.tree.map(np.asarray, self.state())
        return ResumePoint(state, self.epochs_done + 1, {})

    def record(
        self,
        terms: dict[str, float],
        val: SplitScores,
        state: train_state.TrainState,
    ) -> dict[str, float]:
        """Writes the next epoch's metrics, and its checkpoint in the background.

        Args:
            terms: means over the epoch's training records.
            val: scores of the validation split after the epoch.
            state: state after the epoch, on the host.

        Returns:
            The metrics by name, such as "val/macro_auc_mean".
        """
        if self._writer is None:
            raise ValueError(f"{self._workdir}: all epochs of this run are finished.")
        self.epochs_done += 1
        values = epoch_values(terms, val, self._spec.hparams)
        self._writer.write(self.epochs_done, values)
        saved = self._spec.metadata | {"epoch": self.epochs_done, "metrics": values}
        selection = values[self._spec.selection]
        checkpoints.save(self._manager, self.epochs_done, state, saved, selection)
        self._values.append(selection)
        return values

    def save_unfinished(
        self, epoch: int, state: train_state.TrainState, progress: dict[str, Any]
    ) -> None:
        """Saves an unfinished epoch, within which the run can resume.

        Args:
            epoch: number of the epoch that was stopped, from 1.
            state: state after the steps that were trained, on the host.
            progress: progress of the epoch, from `epoch.Epoch.progress`.
        """
        if progress["steps_done"]:  # else the previous epoch's checkpoint has it
            self.wait()  # this state is useless without that checkpoint
            saved = self._spec.metadata | {"epoch": epoch, "progress": progress}
            checkpoints.save_unfinished(self._workdir, state, saved)

    def discard_unfinished(self) -> None:
        """Removes the unfinished epoch, if there is one."""
        checkpoints.discard_unfinished(self._workdir)

    def wait(self) -> None:
        """Waits for checkpoints that are being written."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for checkpoints that are being written, and closes the files."""
        if self._writer is not None:
            self._writer.close()
        self._opened.close()

    def __enter__(self) -> "RunFolder":
        """Returns the open folder."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self.close()

    def _restore(self, epoch: int) -> train_state.TrainState:
        return checkpoints.restore(self._manager, epoch, self._shapes())

    def _shapes(self) -> train_state.TrainState:
        spec = self._spec
        return train_state.shapes(spec.model, spec.average_weights, spec.num_leads)

    def _check_same_run(self, saved: dict[str, Any]) -> None:
        saved_metadata.check(saved, self._workdir)
        metadata.check_same_run(saved, self._spec.metadata, self._workdir)


def has_no_patience(values: Sequence[float], patience: int) -> bool:
    """Returns whether the last epochs brought no better value.

    Args:
        values: validation metric of each epoch; larger is better.
        patience: number of epochs without a better one that are too many; 0: no limit.
    """
    if not patience or len(values) <= patience:
        return False
    return max(values[-patience:]) <= max(values[:-patience])


def describe_saved(workdir: Path, num_epochs: int) -> str:
    """Describes what a training that was stopped has saved, and how to go on.

    Args:
        workdir: folder of the run, whose files are closed. It need not exist.
        num_epochs: number of epochs of the whole run.
    """
    done = 0
    if (workdir / checkpoints.FOLDER).is_dir():
        with checkpoints.open_manager(workdir) as manager:
            done = manager.latest_step() or 0
    if done >= num_epochs:
        return (
            f"All {num_epochs} epochs are saved in {workdir}. Run the same command "
            "again to write the report."
        )
    saved = checkpoints.read_unfinished_metadata(workdir)
    if saved and saved["epoch"] == done + 1:
        step = checkpoints.progress_of(saved)["steps_done"]
        place = f"after step {step} of epoch {done + 1}"
    elif done:
        place = f"after epoch {done} of {num_epochs}"
    else:
        return (
            "No epoch is finished, so nothing is saved yet. Run the same command again "
            "to start over."
        )
    return (
        f"The state {place} is saved in {workdir}. Run the same command again to "
        "resume there."
    )


def epoch_values(
    terms: dict[str, float], val: SplitScores, hparams: HParams
) -> dict[str, float]:
    """Returns the metrics of an epoch by name, such as "val/macro_auc_mean".

    "val/bce_high" and "val/bce_low" are the validation loss: the same cross-entropies
    as the training terms "train/bce_high" and "train/bce_low", in nats, not multiplied
    by the branch's weight. A network with one branch has "val/bce". A score of 0 or 1
    in float32 counts as 16.7 nats.

    Args:
        terms: means over the epoch's training records.
        val: scores of the validation split after the epoch.
        hparams: hyperparameters of the training.
    """
    values = {f"train/{name}": value for name, value in terms.items()}
    for head, scores in val.heads.items():
        found = classification.evaluate(scores, val.labels)
        values |= {f"val/{name}_{head}": value for name, value in found.items()}
    labels = val.labels.astype(np.float32)
    for branch, scores in val.branches.items():
        logits = calibration.logits_of(scores)
        loss = _mean_cross_entropy(logits.astype(np.float32), labels, hparams)
        name = f"val/bce_{branch}" if len(val.branches) > 1 else "val/bce"
        values[name] = float(loss)
    return values


@jax.jit  # operation by operation, 19 programs would be compiled
def _mean_cross_entropy(logits, labels, hparams):
    return losses.weighted_cross_entropy(logits, labels, hparams).mean()
