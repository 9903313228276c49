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
class Position:
    """How far a run is."""

    state: train_state.TrainState  # on the host
    epoch: int  # the one to train, from 1
    done: dict[str, Any]  # what `epoch.Epoch` knows of its part that was trained


def find_position(
    manager: ocp.CheckpointManager, plan: run_spec.Plan, workdir: Path
) -> Position:
    """Returns where a run goes on: in an epoch, after one, or at its beginning.

    Raises:
        ValueError: if workdir holds a run with other settings.
    """
    like = train_state.shapes(plan.model)
    newest = manager.latest_step() or 0
    saved = checkpoints.read_unfinished_facts(workdir)
    if saved and saved["epoch"] == newest + 1:
        metadata.check_same_run(saved, plan.facts, workdir)
        console.say(
            f"continues after {_place(saved['epoch'], saved['done']['steps_done'])}"
        )
        state = checkpoints.restore_unfinished(workdir, like)
        return Position(state, saved["epoch"], saved["done"])
    checkpoints.discard_unfinished(workdir)  # of an epoch that was finished since
    if newest:
        saved = checkpoints.read_facts(manager, newest)
        metadata.check_same_run(saved, plan.facts, workdir)
        console.say(f"continues after epoch {newest}")
        state = checkpoints.restore(manager, newest, like)
        return Position(state, newest + 1, {})
    state = train_state.create(jax.random.PRNGKey(plan.seed), plan.model)
    return Position(jax.tree.map(np.asarray, state), 1, {})


def train(
    manager: ocp.CheckpointManager,
    plan: run_spec.Plan,
    position: Position,
    workdir: Path,
    notice: preemption.Notice,
) -> None:
    """Trains from position to the last epoch; each leaves metrics and a checkpoint.

    Args:
        manager: of the run's checkpoints, on process 0.
        plan: of the run.
        position: from `find_position`, the same on every process.
        workdir: of the run.
        notice: stops an epoch; what was trained of it is saved.

    Raises:
        preemption.Preempted: if it did.
        FloatingPointError: if the loss is not finite; checkpoints stay as they were.
    """
    if position.epoch > plan.num_epochs:
        return
    train_feed, val_feed = _feeds(plan)
    state, done = devices.replicate(position.state), position.done
    with processes.main_only(
        lambda: metrics_log.MetricWriter(workdir, position.epoch)
    ) as writer:
        loop = _Loop(
            plan=plan,
            workdir=workdir,
            manager=manager,
            writer=writer,
            notice=notice,
            feeds=(train_feed, val_feed),
            hparams=devices.replicate(plan.hparams),
        )
        for number in range(position.epoch, plan.num_epochs + 1):
            rows = input_pipeline.epoch_rows(
                len(train_feed), plan.batch_size, plan.seed, number
            )
            state = loop.run_epoch(number, state, epoch_lib.Epoch(rows, **done))
            done = {}
    processes.decide(lambda: checkpoints.discard_unfinished(workdir))


def _feeds(plan: run_spec.Plan) -> tuple[input_pipeline.Feed, input_pipeline.Feed]:
    """Returns the training and the validation split."""
    train_feed = scoring.feed(plan, "train")
    taken = train_feed.signal_bytes() if train_feed.resident else 0
    return train_feed, scoring.feed(plan, "val", taken=taken)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """What stays the same from epoch to epoch."""

    plan: run_spec.Plan
    workdir: Path
    manager: ocp.CheckpointManager  # on process 0, as the writer
    writer: metrics_log.MetricWriter
    notice: preemption.Notice
    feeds: tuple[input_pipeline.Feed, input_pipeline.Feed]  # train, val
    hparams: HParams  # replicated

    def run_epoch(
        self, number: int, state: train_state.TrainState, epoch: epoch_lib.Epoch
    ) -> train_state.TrainState:
        """Trains, scores the validation split, records both; returns the state."""
        train_feed, val_feed = self.feeds
        state, terms = epoch_lib.train_epoch(
            epoch_lib.mapped(self.plan.model),
            state,
            train_feed,
            epoch,
            self.hparams,
            self.notice.pausing(console.tracker(f"epoch {number}")),
        )
        try:
            self.notice.leave_if_agreed()
            scores = scoring.predict(
                self.plan.model,
                state,
                val_feed,
                self.plan.batch_size,
                self.notice.leaving(console.tracker("scoring val")),
            )
        except preemption.Preempted:
            host_state = devices.take_first(state)
            processes.decide(lambda: self._save_unfinished(number, host_state, epoch))
            raise preemption.Preempted(_place(number, epoch.steps_done)) from None
        host_state = devices.take_first(state)
        processes.decide(lambda: self._record(number, host_state, terms, scores))
        return state

    def _record(
        self,
        number: int,
        state: train_state.TrainState,
        terms: dict[str, float],
        scores: SplitScores,
    ) -> None:
        plan, values = self.plan, run_folder.epoch_values(terms, scores)
        run_folder.record(self.manager, self.writer, plan, number, values, state)
        console.say(plan.epoch_line(number, values))

    def _save_unfinished(
        self, number: int, state: train_state.TrainState, epoch: epoch_lib.Epoch
    ) -> None:
        if epoch.steps_done:  # else the epoch before has it
            self.manager.wait_until_finished()  # without which this is of no use
            done = {"steps_done": epoch.steps_done, "sums": epoch.sums}
            facts = self.plan.facts | {"epoch": number, "done": done}
            checkpoints.save_unfinished(self.workdir, state, facts)


def _place(epoch: int, steps_done: int) -> str:
    return f"step {steps_done} of epoch {epoch}"
