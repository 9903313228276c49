"""Checkpoints with Orbax: the newest epoch and the best one on validation.

A checkpoint holds the full state of a run (arrays) and what is needed to use it
without the run: configuration, labels, leads, rate, unit and standardiser (JSON).
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from mrm_jax import train_state

FOLDER = "checkpoints"
METRIC = "selection"


def open_manager(workdir: Path) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run, a context manager that waits for writes.

    Orbax renames a checkpoint into place when it is complete: a process killed at any
    moment leaves the one before. Two policies, since `best_fn` with `max_to_keep`
    alone would delete the newest one.
    """
    options = ocp.CheckpointManagerOptions(
        step_prefix="epoch",
        best_fn=_metric,
        best_mode="max",
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(1),
                checkpoint_managers.BestN(
                    n=1, get_metric_fn=_metric, keep_checkpoints_without_metrics=False
                ),
            ]
        ),
    )
    return ocp.CheckpointManager((workdir / FOLDER).absolute(), options=options)


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
        state: on the host, as `parallel.take_first` returns it.
        facts: JSON.
        selection: the validation metric; the largest is the best.
    """
    manager.save(
        epoch,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), facts=ocp.args.JsonSave(facts)
        ),
        metrics={METRIC: selection},
    )


def read_facts(manager: ocp.CheckpointManager, epoch: int) -> dict[str, Any]:
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


def _metric(metrics: dict[str, float]) -> float:
    return metrics[METRIC]
