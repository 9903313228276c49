"""Trains a run, epoch by epoch, from its resume point to its last epoch."""

import numpy as np

from mrm_jax.metrics.scores import SplitScores
from mrm_jax.runtime import console, devices, preemption, progress
from mrm_jax.training import epoch as epoch_lib
from mrm_jax.training import (
    input_pipeline,
    run_folder,
    run_progress,
    run_spec,
    scoring,
    train_state,
)


def train(
    folder: run_folder.RunFolder,
    spec: run_spec.RunSpec,
    handler: preemption.PreemptionHandler,
) -> None:
    """Trains a run to its last epoch, and saves metrics and a checkpoint of each epoch.

    With a patience, the last epoch is the one at which it runs out.

    Args:
        folder: folder of the run, opened with `processes.main_only`.
        spec: specification of the run.
        handler: preemption handler, which may stop the run within an epoch. The state
            is then saved, and the run can resume from it.

    Raises:
        preemption.Preempted: if the run was preempted.
        FloatingPointError: if the loss is not finite. Checkpoints remain unchanged.
    """
    if folder.is_finished():
        folder.resume_point()  # says so, and discards an unfinished epoch
        return
    train_call = epoch_lib.mapped(spec.model, spec.augment, spec.inherited)
    train_call.load_ahead()
    with run_progress.RunProgress(spec.num_epochs) as shown:
        resume_point = folder.resume_point()
        train_loader, val_loader = scoring.loaders(spec)
        hparams = devices.replicate(spec.hparams)
        state = devices.replicate(resume_point.state)
        done_before = resume_point.progress
        for number in range(resume_point.epoch, spec.num_epochs + 1):
            epoch = epoch_lib.Epoch(_rows(spec, train_loader, number), **done_before)
            track = handler.stop_when_preempted(shown.training(number, epoch))
            state, terms = epoch_lib.train_epoch(
                train_call, state, train_loader, epoch, hparams, track
            )
            try:
                track = shown.scoring(epoch)
                scores = _validate(spec, state, val_loader, handler, track)
            except preemption.Preempted:
                host_state = devices.unreplicate(state)
                folder.save_unfinished(number, host_state, epoch.progress)
                place = f"at step {epoch.steps_done} of epoch {number}"
                raise preemption.Preempted(place) from None
            metrics = folder.record(terms, scores, devices.unreplicate(state))
            shown.end_epoch(metrics)
            if folder.is_finished():
                break
            done_before = {}
    folder.discard_unfinished()
    if reason := folder.early_stop():
        console.say(reason)


def _rows(
    spec: run_spec.RunSpec, loader: input_pipeline.SplitLoader, epoch: int
) -> np.ndarray:
    """Returns the order of an epoch's records, [step, batch]."""
    return input_pipeline.shuffled_batches(
        len(loader), spec.batch_size, spec.seed, epoch
    )


def _validate(
    spec: run_spec.RunSpec,
    state: train_state.TrainState,
    loader: input_pipeline.SplitLoader,
    handler: preemption.PreemptionHandler,
    track: progress.Track,
) -> SplitScores:
    """Scores the validation split, unless the epoch was stopped early."""
    handler.raise_if_preempted()
    track = handler.raise_when_preempted(track)
    return scoring.predict(spec.model, state, loader, spec.batch_size, track)
