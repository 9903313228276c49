"""Folders of checkpoints with Orbax, verified by checksums when they are read.

A checkpoint holds the full state of a run (arrays) and its metadata (JSON). The
metadata contain checksums of both. Checkpoints of version 0.1.0 have none.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import orbax.checkpoint as ocp

from mrm_jax.training import orbax_manager, train_state

METRIC = "selection"
CHECKSUMS = "checksums"
LONGEST_REASON = 300  # characters of an error of Orbax that are shown


class DamagedError(ValueError):
    """A checkpoint that cannot be read or differs from its checksums."""


def open_folder(folder: Path, **options: Any) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints that only process 0 uses.

    Args:
        folder: created if it does not exist.
        options: further options of `ocp.CheckpointManagerOptions`.

    Raises:
        DamagedError: if the metrics of a checkpoint cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)  # `create` would need all processes
    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix=folder.name
    )
    manager = None
    try:
        manager = orbax_manager.Manager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                create=False,
                multiprocessing_options=alone,
                todelete_subdir=orbax_manager.DELETED,
                **options,
            ),
        )
        manager.best_step()  # compares the metrics
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if manager is not None:
            manager.close()
        raise DamagedError(
            f"{_without_metric(folder)}: this checkpoint is damaged, as its metrics "
            f"cannot be read ({_in_one_line(error)}). Move it away, and repeat the "
            "command to go on with another one."
        ) from None
    return manager


def _without_metric(folder: Path) -> Path:
    """Returns the first checkpoint whose metric is not a number, or the folder."""
    for path in sorted(folder.glob("*/metrics/metrics")):
        try:
            float(json.loads(path.read_text())[METRIC])
        except (KeyError, TypeError, ValueError):
            return path.parent.parent
    return folder


def save(
    manager: ocp.CheckpointManager,
    number: int,
    state: train_state.TrainState,
    metadata: dict[str, Any],
    selection: float | None = None,
) -> None:
    """Saves a checkpoint in the background.

    Args:
        manager: from `open_folder`.
        number: number of the checkpoint: its epoch or its step.
        state: state on the host.
        metadata: metadata, as JSON values.
        selection: metric by which the best checkpoint is kept, if one is.
    """
    checksums: dict[str, Any] = {
        "state": _hash_state(state),
        "metadata": _hash_json(metadata),
    }
    metrics = None
    if selection is not None:
        metrics = {METRIC: selection}
        checksums[METRIC] = _number(selection)
    arguments = ocp.args.Composite(  # "facts" is the name of the item on disk
        state=ocp.args.StandardSave(_fields(state)),
        facts=ocp.args.JsonSave(metadata | {CHECKSUMS: checksums}),
    )
    manager.save(number, args=arguments, metrics=metrics)


def restore(manager: ocp.CheckpointManager, number: int, like: Any) -> Any:
    """Returns the state of a checkpoint as NumPy arrays.

    Args:
        manager: from `open_folder`.
        number: number of a saved checkpoint.
        like: state of the same fields and shapes, or its `jax.eval_shape`.

    Raises:
        DamagedError: if the state cannot be read or differs from its checksum.
    """
    host = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
    _, checksums = _read(manager, number)
    with _naming_damage(manager, number):
        state = _restore(manager, number, _fields(host))
        if dataclasses.is_dataclass(like):
            state = dataclasses.replace(cast(Any, like), **state)
        if jax.tree.map(np.shape, state) != jax.tree.map(np.shape, host):
            raise ValueError("its arrays do not fit the network of its metadata")
        if checksums and checksums["state"] != _hash_state(state):
            _verify_state(manager, number, checksums)  # `like` may have other types
    return state


def _fields(state: Any) -> Any:
    """Returns the fields of a state that are not None, by name.

    Orbax would write an entry for None, which checkpoints from before that field lack.
    """
    if not dataclasses.is_dataclass(state):
        return state
    fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
    return {name: value for name, value in fields.items() if value is not None}


def read_metadata(manager: ocp.CheckpointManager, number: int) -> dict[str, Any]:
    """Returns the metadata of a checkpoint.

    Raises:
        DamagedError: if they cannot be read or differ from their checksum.
    """
    return _read(manager, number)[0]


def change_metadata(
    checkpoint: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Changes the metadata in the folder of a checkpoint, and their checksum."""
    path = checkpoint / "facts" / "metadata"
    saved = json.loads(path.read_text())
    checksums = saved.pop(CHECKSUMS, {})
    changed = change(saved)
    if checksums:
        changed[CHECKSUMS] = checksums | {"metadata": _hash_json(changed)}
    path.write_text(json.dumps(changed))


def best(manager: ocp.CheckpointManager) -> int | None:
    """Returns the checkpoint with the largest metric, or None if there is none.

    Raises:
        DamagedError: if the metric of a checkpoint differs from its checksum.
    """
    for number in manager.all_steps():
        _, checksums = _read(manager, number)
        with _naming_damage(manager, number):
            metrics = manager.metrics(number)
            if metrics is None:
                raise ValueError("its validation metric is missing")
            found = _number(metrics[METRIC])
            if checksums.get(METRIC, found) != found:
                raise ValueError("its validation metric differs from its checksum")
    return manager.best_step()


def _read(
    manager: ocp.CheckpointManager, number: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns metadata and checksums; version 0.1.0 has no checksums."""
    with _naming_damage(manager, number):
        return _verified_metadata(manager, number)


def _verified_metadata(
    manager: ocp.CheckpointManager, number: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    json_only = ocp.args.Composite(facts=ocp.args.JsonRestore())
    metadata = dict(manager.restore(number, args=json_only).facts)
    checksums = metadata.pop(CHECKSUMS, {})
    if any(_are_checksums(value) for value in metadata.values()):
        raise ValueError(f"its {CHECKSUMS} have another name")
    if checksums and checksums["metadata"] != _hash_json(metadata):
        raise ValueError("its metadata differ from their checksum")
    return metadata, checksums


def _are_checksums(value: Any) -> bool:
    return isinstance(value, dict) and {"state", "metadata"} <= value.keys()


def _restore(manager: ocp.CheckpointManager, number: int, like: Any = None) -> Any:
    restore = ocp.args.StandardRestore(like)
    return manager.restore(number, args=ocp.args.Composite(state=restore)).state


def _verify_state(
    manager: ocp.CheckpointManager, number: int, checksums: dict[str, Any]
) -> None:
    """Compares the arrays of a checkpoint, as they were saved, with their checksum."""
    found = _hash_state(_restore(manager, number))
    if checksums and checksums["state"] != found:
        raise ValueError("its arrays differ from their checksum")


@contextlib.contextmanager
def _naming_damage(manager: ocp.CheckpointManager, number: int) -> Iterator[None]:
    """Turns any error of reading a checkpoint into a `DamagedError`."""
    try:
        yield
    except (DamagedError, PermissionError):
        raise
    except Exception as error:  # Orbax raises almost anything for damaged files
        intact = [e for e in manager.all_steps() if e != number and _intact(manager, e)]
        way_out = "Restore it from a copy"
        if intact:
            way_out = (
                f"{_folder(manager, intact[-1])} is intact. To go on with it, move "
                "the damaged folder away and repeat the command"
            )
        raise DamagedError(
            f"{_folder(manager, number)}: this checkpoint is damaged "
            f"({_in_one_line(error)}). {way_out}."
        ) from None


def _intact(manager: ocp.CheckpointManager, number: int) -> bool:
    try:
        _, checksums = _verified_metadata(manager, number)
        _verify_state(manager, number, checksums)
    except Exception:  # Orbax raises almost anything for damaged files
        return False
    return True


def _folder(manager: ocp.CheckpointManager, number: int) -> Path:
    (found,) = Path(manager.directory).glob(f"*_{number}")
    return found


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."


def _hash_state(state: Any) -> str:
    """Returns a hash of all arrays.

    It does not depend on their order, in which versions of Optax may differ.
    """
    leaves = (np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))
    hashes = sorted(hashlib.sha256(leaf).hexdigest() for leaf in leaves)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _hash_json(value: Any) -> str:
    plain = json.loads(json.dumps(value))  # keys become text
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _number(value: float) -> float | str:
    """Returns a number that equals itself when it is read from JSON again."""
    return "nan" if value != value else float(value)
