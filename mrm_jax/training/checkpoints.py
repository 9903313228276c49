"""Checkpoints with Orbax: the newest epoch and the best one on validation.

A checkpoint holds the full state of a run (arrays) and its metadata (JSON):
configuration, labels, leads, sampling rate, unit and normalisation statistics. It can
be used on its own.
"""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from mrm_jax.training import train_state

FOLDER = "checkpoints"
UNFINISHED = "unfinished"
METRIC = "selection"


class _Manager(ocp.CheckpointManager):
    """A manager that leaves the check for preemption to `runtime.preemption`.

    Orbax before 0.12 fails with several processes if JAX's preemption service is off.
    """

    def reached_preemption(self, step: int) -> bool:
        """Returns False."""
        return False


def open_manager(workdir: Path) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run: a context manager that waits for writes.

    Orbax renames a checkpoint into place when it is complete. If a process is killed,
    the previous checkpoint remains. There are two policies because `best_fn` with
    `max_to_keep` alone would delete the newest checkpoint.
    """
    policy = checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(1),
            checkpoint_managers.BestN(
                n=1, get_metric_fn=_metric, keep_checkpoints_without_metrics=False
            ),
        ]
    )
    return _open(
        workdir / FOLDER,
        step_prefix="epoch",
        best_fn=_metric,
        best_mode="max",
        preservation_policy=policy,
    )


def open_existing(workdir: Path) -> ocp.CheckpointManager:
    """Opens the existing checkpoints of a run.

    Raises:
        ValueError: if the run has no checkpoint.
    """
    if not (workdir / FOLDER).is_dir():
        raise ValueError(
            f"{workdir}: this folder has no checkpoints. Train a run with "
            "`mrm_jax.train` first."
        )
    manager = open_manager(workdir)
    if manager.best_step() is None:
        manager.close()
        raise ValueError(
            f"{workdir}: this run has no finished epoch yet. Resume its training."
        )
    return manager


def save(
    manager: ocp.CheckpointManager,
    epoch: int,
    state: train_state.TrainState,
    metadata: dict[str, Any],
    selection: float,
) -> None:
    """Saves one epoch in the background.

    Args:
        manager: from `open_manager`.
        epoch: number of the epoch, from 1.
        state: state after the epoch, on the host.
        metadata: metadata of the run and the epoch, as JSON values.
        selection: validation metric. The epoch with the largest value is the best.
    """
    manager.save(epoch, args=_arguments(state, metadata), metrics={METRIC: selection})


def read_metadata(manager: ocp.CheckpointManager, epoch: int) -> dict[str, Any]:
    """Returns the metadata that was saved with an epoch."""
    restored = manager.restore(
        epoch, args=ocp.args.Composite(facts=ocp.args.JsonRestore())
    )
    return restored.facts


def restore(
    manager: ocp.CheckpointManager, epoch: int, like: Any
) -> train_state.TrainState:
    """Returns an epoch's state as NumPy arrays.

    Args:
        manager: from `open_manager`.
        epoch: number of a saved epoch.
        like: state of the same shapes, or its `jax.eval_shape`.
    """
    host = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
    restored = manager.restore(
        epoch, args=ocp.args.Composite(state=ocp.args.StandardRestore(host))
    )
    return restored.state


def save_unfinished(
    workdir: Path, state: train_state.TrainState, metadata: dict[str, Any]
) -> None:
    """Saves a state within an epoch in place of an earlier one, and waits for it.

    It is kept apart from the checkpoints of whole epochs. Only those are scored,
    reported and converted.

    Args:
        workdir: folder of the run.
        state: state on the host. Its step distinguishes it from an earlier one.
        metadata: metadata of the run and the unfinished epoch, as JSON values.
    """
    with _open_unfinished(workdir) as manager:
        step = int(state.step)
        if step not in manager.all_steps():  # else the same state is saved
            manager.save(step, args=_arguments(state, metadata))


def read_unfinished_metadata(workdir: Path) -> dict[str, Any] | None:
    """Returns the metadata that `save_unfinished` saved, or None."""
    if not (workdir / UNFINISHED).is_dir():
        return None
    with _open_unfinished(workdir) as manager:
        step = manager.latest_step()
        return None if step is None else read_metadata(manager, step)


def progress_of(saved: dict[str, Any]) -> dict[str, Any]:
    """Returns how much of an unfinished epoch was trained.

    Args:
        saved: result of `read_unfinished_metadata`. Version 0.1.0 wrote the key "done".
    """
    return saved["progress"] if "progress" in saved else saved["done"]


def restore_unfinished(workdir: Path, like: Any) -> train_state.TrainState:
    """Returns the state that `save_unfinished` saved, as NumPy arrays."""
    with _open_unfinished(workdir) as manager:
        return restore(manager, manager.latest_step(), like)


def discard_unfinished(workdir: Path) -> None:
    """Removes what `save_unfinished` saved, if anything."""
    shutil.rmtree(workdir / UNFINISHED, ignore_errors=True)


def _open_unfinished(workdir: Path) -> ocp.CheckpointManager:
    return _open(workdir / UNFINISHED, step_prefix="step", max_to_keep=1)


def _open(folder: Path, **options: Any) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints that only process 0 uses."""
    folder.mkdir(parents=True, exist_ok=True)  # `create` would need all processes
    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix=folder.name
    )
    return _Manager(
        folder.absolute(),
        options=ocp.CheckpointManagerOptions(
            create=False, multiprocessing_options=alone, **options
        ),
    )


def _arguments(state: train_state.TrainState, metadata: dict[str, Any]) -> Any:
    return ocp.args.Composite(  # "facts" is the name of the item on disk
        state=ocp.args.StandardSave(state), facts=ocp.args.JsonSave(metadata)
    )


def _metric(metrics: dict[str, float]) -> float:
    return metrics[METRIC]
