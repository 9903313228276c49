"""Checkpoints with Orbax: the newest epoch and the best one on validation.

A checkpoint holds the full state of a run (arrays) and what is needed to use it
without the run: configuration, labels, leads, rate, unit and standardiser (JSON).
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
    """A manager that asks nobody for a notice to leave: `preemption` does that.

    Orbax before 0.12 fails in several processes where JAX's own service is off.
    """

    def reached_preemption(self, step: int) -> bool:
        """Returns no."""
        return False


def open_manager(workdir: Path) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run, a context manager that waits for writes.

    Orbax renames a checkpoint into place when it is complete: a process killed at any
    moment leaves the one before. Two policies, since `best_fn` with `max_to_keep`
    alone would delete the newest one.
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
    """Opens the checkpoints of a run that has some.

    Raises:
        ValueError: if there is none.
    """
    if not (workdir / FOLDER).is_dir():
        raise ValueError(f"{workdir}: no checkpoints; train first with mrm_jax.train")
    manager = open_manager(workdir)
    if manager.best_step() is None:
        manager.close()
        raise ValueError(f"{workdir}: no finished epoch yet; continue its training")
    return manager


def save(
    manager: ocp.CheckpointManager,
    epoch: int,
    state: train_state.TrainState,
    facts: dict[str, Any],
    selection: float,
) -> None:
    """Saves one epoch in the background.

    Args:
        manager: from `open_manager`.
        epoch: counted from 1.
        state: on the host, as `devices.unreplicate` returns it.
        facts: JSON.
        selection: the validation metric; the largest is the best.
    """
    manager.save(epoch, args=_arguments(state, facts), metrics={METRIC: selection})


def read_metadata(manager: ocp.CheckpointManager, epoch: int) -> dict[str, Any]:
    """Returns the JSON beside an epoch's state."""
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
        epoch: one that is there.
        like: a state of the same shapes, or its `jax.eval_shape`.
    """
    host = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
    restored = manager.restore(
        epoch, args=ocp.args.Composite(state=ocp.args.StandardRestore(host))
    )
    return restored.state


def save_unfinished(
    workdir: Path, state: train_state.TrainState, facts: dict[str, Any]
) -> None:
    """Saves a state within an epoch, in the place of an earlier one; waits for it.

    Apart from the epochs' own, which alone are scored, reported and converted.

    Args:
        workdir: of the run.
        state: on the host; a run's states are told apart by their step.
        facts: JSON.
    """
    with _open_unfinished(workdir) as manager:
        step = int(state.step)
        if step not in manager.all_steps():  # else it is the same
            manager.save(step, args=_arguments(state, facts))


def read_unfinished_metadata(workdir: Path) -> dict[str, Any] | None:
    """Returns the JSON of what `save_unfinished` saved, or None if there is nothing."""
    if not (workdir / UNFINISHED).is_dir():
        return None
    with _open_unfinished(workdir) as manager:
        step = manager.latest_step()
        return None if step is None else read_metadata(manager, step)


def progress_of(saved: dict[str, Any]) -> dict[str, Any]:
    """Returns how much of an unfinished epoch was trained.

    Args:
        saved: from `read_unfinished_metadata`. Version 0.1.0 wrote the key "done".
    """
    return saved["progress"] if "progress" in saved else saved["done"]


def restore_unfinished(workdir: Path, like: Any) -> train_state.TrainState:
    """Returns the state that `save_unfinished` saved, as `restore` does."""
    with _open_unfinished(workdir) as manager:
        return restore(manager, manager.latest_step(), like)


def discard_unfinished(workdir: Path) -> None:
    """Removes what `save_unfinished` saved, if there is any."""
    shutil.rmtree(workdir / UNFINISHED, ignore_errors=True)


def _open_unfinished(workdir: Path) -> ocp.CheckpointManager:
    return _open(workdir / UNFINISHED, step_prefix="step", max_to_keep=1)


def _open(folder: Path, **options: Any) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints that only process 0 uses."""
    folder.mkdir(parents=True, exist_ok=True)  # `create` is for all processes together
    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix=folder.name
    )
    return _Manager(
        folder.absolute(),
        options=ocp.CheckpointManagerOptions(
            create=False, multiprocessing_options=alone, **options
        ),
    )


def _arguments(state: train_state.TrainState, facts: dict[str, Any]) -> Any:
    return ocp.args.Composite(
        state=ocp.args.StandardSave(state), facts=ocp.args.JsonSave(facts)
    )


def _metric(metrics: dict[str, float]) -> float:
    return metrics[METRIC]
