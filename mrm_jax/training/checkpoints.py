"""Checkpoints with Orbax: the newest epoch and the best one on validation.

A checkpoint holds the full state of a run (arrays) and its metadata (JSON):
configuration, labels, leads, sampling rate, unit and normalisation statistics. It can
be used on its own. The metadata contain checksums, which are verified whenever a
checkpoint is read. Checkpoints of version 0.1.0 have none.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from mrm_jax.training import checkpoint_store, orbax_manager, train_state

# Of one epoch, for callers that need nothing else of the store.
save = checkpoint_store.save
restore = checkpoint_store.restore
read_metadata = checkpoint_store.read_metadata
change_metadata = checkpoint_store.change_metadata

FOLDER = "checkpoints"
UNFINISHED = "unfinished"


def open_manager(workdir: Path) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run: a context manager that waits for writes.

    Orbax renames a checkpoint into place when it is complete, and moves it away before
    it is removed. If a process is killed, the previous checkpoint remains. There are
    two policies because `best_fn` with `max_to_keep` alone would delete the newest
    checkpoint.
    """
    policy = checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(1),
            checkpoint_managers.BestN(
                n=1, get_metric_fn=_metric, keep_checkpoints_without_metrics=False
            ),
        ]
    )
    return checkpoint_store.open_folder(
        workdir / FOLDER,
        step_prefix="epoch",
        best_fn=_metric,
        best_mode="max",
        preservation_policy=policy,
    )


def remove_deleted(workdir: Path) -> None:
    """Removes deleted checkpoints that a killed process has left.

    Args:
        workdir: folder of the run, to which no other process writes.
    """
    orbax_manager.remove_deleted(workdir / FOLDER)


def open_existing(workdir: Path) -> ocp.CheckpointManager:
    """Opens the existing checkpoints of a run.

    Raises:
        ValueError: if the run has no checkpoint, or none that can be read.
        DamagedError: if no checkpoint has its validation metric.
    """
    if not (workdir / FOLDER).is_dir():
        raise ValueError(
            f"{workdir}: this folder has no checkpoints. Train a run with "
            "`python -m mrm_jax.train` first."
        )
    manager = open_manager(workdir)
    if manager.best_step() is None:
        with manager:
            checkpoint_store.best(manager)  # raises if one has lost its metric
        raise ValueError(
            f"{workdir}: this run has no finished epoch yet. Resume its training."
        )
    return manager


def best_epoch(manager: ocp.CheckpointManager) -> int:
    """Returns the saved epoch with the largest validation metric.

    Raises:
        DamagedError: if the metric of a saved epoch differs from its checksum.
    """
    best = checkpoint_store.best(manager)
    if best is None:
        raise ValueError(f"{manager.directory}: there is no finished epoch.")
    return best


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
            checkpoint_store.save(manager, step, state, metadata)


def read_unfinished_metadata(workdir: Path) -> dict[str, Any] | None:
    """Returns the metadata that `save_unfinished` saved, or None.

    Raises:
        DamagedError: if they are damaged.
    """
    if not (workdir / UNFINISHED).is_dir():
        return None
    with _open_unfinished(workdir) as manager, _naming_the_way_out(workdir):
        step = manager.latest_step()
        return None if step is None else read_metadata(manager, step)


def progress_of(saved: dict[str, Any]) -> dict[str, Any]:
    """Returns how much of an unfinished epoch was trained.

    Args:
        saved: result of `read_unfinished_metadata`. Version 0.1.0 wrote the key "done".
    """
    return saved["progress"] if "progress" in saved else saved["done"]


def restore_unfinished(workdir: Path, like: Any) -> train_state.TrainState:
    """Returns the state that `save_unfinished` saved, as NumPy arrays.

    Raises:
        DamagedError: if it is damaged.
    """
    with _open_unfinished(workdir) as manager, _naming_the_way_out(workdir):
        return restore(manager, manager.latest_step(), like)


def discard_unfinished(workdir: Path) -> None:
    """Removes what `save_unfinished` saved, if anything."""
    shutil.rmtree(workdir / UNFINISHED, ignore_errors=True)


def _open_unfinished(workdir: Path) -> ocp.CheckpointManager:
    return checkpoint_store.open_folder(
        workdir / UNFINISHED, step_prefix="step", max_to_keep=1
    )


@contextlib.contextmanager
def _naming_the_way_out(workdir: Path) -> Iterator[None]:
    try:
        yield
    except checkpoint_store.DamagedError as error:
        raise checkpoint_store.DamagedError(
            f"{error} Or remove {workdir / UNFINISHED} to train its epoch again."
        ) from None


def _metric(metrics: dict[str, float]) -> float:
    return metrics[checkpoint_store.METRIC]
