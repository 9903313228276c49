"""The epochs of a run: where they begin, what each leaves, where they stop early."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mrm_jax.metrics.scores import SplitScores
from mrm_jax.runtime import console, devices, preemption, processes
from mrm_jax.training import (
    checkpoints,
    input_pipeline,
    metadata,
    metrics_log,
    run_folder,
    run_spec,
    scoring,
    train_state,
)
from mrm_jax.training import epoch as epoch_lib
from mrm_jax.training.train_state import HParams


@dataclasses.dataclass(frozen=True)
class ResumePoint:
    """How far a run is."""

    state: train_state.TrainState  # on the host
    epoch: int  # the one to train, from 1
    done: dict[str, Any]  # what `epoch.Epoch` knows of its part that was trained


def find_resume_point(
    manager: ocp.CheckpointManager, spec: run_spec.RunSpec, workdir: Path
) -> ResumePoint:
    """Returns where a run goes on: in an epoch, after one, or at its beginning.

    Raises:
        ValueError: if workdir holds a run with other settings.
    """
    like = train_state.shapes(spec.model)
    newest = manager.latest_step() or 0
    saved = checkpoints.read_unfinished_metadata(workdir)
    if saved and saved["epoch"] == newest + 1:
        metadata.check_same_run(saved, spec.metadata, workdir)
        console.say(
            f"continues after {_place(saved['epoch'], saved['done']['steps_done'])}"
        )
        state = checkpoints.restore_unfinished(workdir, like)
        return ResumePoint(state, saved["epoch"], saved["done"])
    checkpoints.discard_unfinished(workdir)  # of an epoch that was finished since
    if newest:
        saved = checkpoints.read_metadata(manager, newest)
        metadata.check_same_run(saved, spec.metadata, workdir)
        console.say(f"continues after epoch {newest}")
        state = checkpoints.restore(manager, newest, like)
        return ResumePoint(state, newest + 1, {})
    state = train_state.create(jax.random.PRNGKey(spec.seed), spec.model)
    return ResumePoint(jax.tree.map(np.asarray, state), 1, {})


def train(
    manager: ocp.CheckpointManager,
    spec: run_spec.RunSpec,
    position: ResumePoint,
    workdir: Path,
    handler: preemption.PreemptionHandler,
) -> None:
    """Trains from position to the last epoch; each leaves metrics and a checkpoint.

    Args:
        manager: of the run's checkpoints, on process 0.
        spec: of the run.
        position: from `find_resume_point`, the same on every process.
        workdir: of the run.
        handler: of preemption; stops an epoch; what was trained of it is saved.

    Raises:
        preemption.Preempted: if it did.
        FloatingPointError: if the loss is not finite; checkpoints stay as they were.
    """
    if position.epoch > spec.num_epochs:
        return
    train_loader, val_loader = _loaders(spec)
    state, done = devices.replicate(position.state), position.done
    with processes.main_only(
        lambda: metrics_log.MetricWriter(workdir, position.epoch)
    ) as writer:
        loop = _Loop(
            spec=spec,
            workdir=workdir,
            manager=manager,
            writer=writer,
            handler=handler,
            loaders=(train_loader, val_loader),
            hparams=devices.replicate(spec.hparams),
        )
        for number in range(position.epoch, spec.num_epochs + 1):
            rows = input_pipeline.shuffled_batches(
                len(train_loader), spec.batch_size, spec.seed, number
            )
            state = loop.run_epoch(number, state, epoch_lib.Epoch(rows, **done))
            done = {}
    processes.run_on_main(lambda: checkpoints.discard_unfinished(workdir))


def _loaders(
    spec: run_spec.RunSpec,
) -> tuple[input_pipeline.SplitLoader, input_pipeline.SplitLoader]:
    """Returns the training and the validation split."""
    train_loader = scoring.loader(spec, "train")
    taken = train_loader.signal_bytes() if train_loader.resident else 0
    return train_loader, scoring.loader(spec, "val", taken=taken)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """What stays the same from epoch to epoch."""

    spec: run_spec.RunSpec
    workdir: Path
    manager: ocp.CheckpointManager  # on process 0, as the writer
    writer: metrics_log.MetricWriter
    handler: preemption.PreemptionHandler
    loaders: tuple[input_pipeline.SplitLoader, input_pipeline.SplitLoader]  # train, val
    hparams: HParams  # replicated

    def run_epoch(
        self, number: int, state: train_state.TrainState, epoch: epoch_lib.Epoch
    ) -> train_state.TrainState:
        """Trains, scores the validation split, records both; returns the state."""
        train_loader, val_loader = self.loaders
        state, terms = epoch_lib.train_epoch(
            epoch_lib.mapped(self.spec.model),
            state,
            train_loader,
            epoch,
            self.hparams,
            self.handler.pausing(console.tracker(f"epoch {number}")),
        )
        try:
            self.handler.raise_if_preempted()
            scores = scoring.predict(
                self.spec.model,
                state,
                val_loader,
                self.spec.batch_size,
                self.handler.leaving(console.tracker("scoring val")),
            )
        except preemption.Preempted:
            host_state = devices.unreplicate(state)
            processes.run_on_main(
                lambda: self._save_unfinished(number, host_state, epoch)
            )
            raise preemption.Preempted(
                f"at {_place(number, epoch.steps_done)}"
            ) from None
        host_state = devices.unreplicate(state)
        processes.run_on_main(lambda: self._record(number, host_state, terms, scores))
        return state

    def _record(
        self,
        number: int,
        state: train_state.TrainState,
        terms: dict[str, float],
        scores: SplitScores,
    ) -> None:
        spec, values = self.spec, run_folder.epoch_values(terms, scores)
        run_folder.record(self.manager, self.writer, spec, number, values, state)
        console.say(spec.epoch_line(number, values))

    def _save_unfinished(
        self, number: int, state: train_state.TrainState, epoch: epoch_lib.Epoch
    ) -> None:
        if epoch.steps_done:  # else the epoch before has it
            self.manager.wait_until_finished()  # without which this is of no use
            done = {"steps_done": epoch.steps_done, "sums": epoch.sums}
            facts = self.spec.metadata | {"epoch": number, "done": done}
            checkpoints.save_unfinished(self.workdir, state, facts)


def _place(epoch: int, steps_done: int) -> str:
    return f"step {steps_done} of epoch {epoch}"
