"""Reading and writing of PyTorch checkpoint files as NumPy arrays.

torch is imported only when a function is called.
"""

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mrm_jax.runtime import atomic, extras, locks

WEIGHTS, OPTIMIZER = "model_state_dict", "optimizer_state_dict"
EPOCH, METRIC = "global_epoch", "best_auc"
METADATA = "mrm_jax"  # added by `write`: metadata of the run, as JSON text
PARALLEL = "module."  # prefix that DataParallel adds to every name


@dataclasses.dataclass(frozen=True)
class TorchCheckpoint:
    """Contents of a checkpoint file."""

    weights: Mapping[str, np.ndarray]  # by PyTorch's names
    optimizer: Mapping[str, Any] | None = None  # state dict of torch.optim.Adam
    epoch: int = 0  # epochs trained; 0 if the file does not say
    metric: float | None = None  # best value so far, of whichever metric was used
    metadata: Mapping[str, Any] | None = None  # of the run that was converted


def read(path: Path, *, with_optimizer: bool = True) -> TorchCheckpoint:
    """Reads a checkpoint file written by `torch.save`.

    The file contains either a bare state dict or {"model_state_dict", "global_epoch",
    "optimizer_state_dict", "best_auc"}, of which only the first is required. Files that
    `write` made also have "mrm_jax", the metadata of the run. Arrays are
    views of the memory-mapped file and are read when they are used. Only tensors and
    plain values are unpickled, so that files from untrusted sources are safe to read.

    Args:
        path: checkpoint file.
        with_optimizer: whether to read the optimiser state as well.

    Raises:
        ImportError: if PyTorch is not installed; says how to install it.
        ValueError: if the file contains anything else.
        OSError: if the file does not exist.
    """
    content = _load(_torch(), path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a state dict, found {type(content)}.")
    wrapped = WEIGHTS in content
    weights = content[WEIGHTS] if wrapped else content
    if not weights or not all(hasattr(tensor, "numpy") for tensor in weights.values()):
        raise ValueError(
            f"{path}: expected tensors by name, either at the top level or under "
            f"{WEIGHTS!r}, found {', '.join(map(str, list(content)[:8])) or 'nothing'}."
        )
    named = {_without_prefix(name, weights): _array(weights[name]) for name in weights}
    if not wrapped:
        return TorchCheckpoint(named)
    metric = content.get(METRIC)
    return TorchCheckpoint(
        weights=named,
        optimizer=_arrays(content.get(OPTIMIZER)) if with_optimizer else None,
        epoch=int(content.get(EPOCH, 0)),
        metric=None if metric is None else float(metric),
        metadata=_metadata(path, content.get(METADATA)),
    )


def write(path: Path, checkpoint: TorchCheckpoint) -> None:
    """Writes a file with all keys, which PyTorch reads with `weights_only=True`.

    Raises:
        ImportError: if PyTorch is not installed; says how to install it.
        OSError: if the file cannot be written.
    """
    torch = _torch()
    content = {
        WEIGHTS: _tensors(torch, checkpoint.weights),
        EPOCH: checkpoint.epoch,
        OPTIMIZER: _tensors(torch, checkpoint.optimizer),
        METRIC: checkpoint.metric,
    }
    if checkpoint.metadata is not None:
        content[METADATA] = json.dumps(checkpoint.metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.writing_file(path), atomic.replacing(path) as partial:
        torch.save(content, partial)


def _metadata(path: Path, said: Any) -> dict[str, Any] | None:
    """Returns the metadata of the run that was converted to the file, if it has any.

    Raises:
        ValueError: if they are not JSON.
    """
    if said is None:
        return None
    try:
        return dict(json.loads(said))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: its entry {METADATA!r} is not the metadata of a run ({error}). "
            "Remove it, and name the labels with --labels."
        ) from None


def _torch() -> ModuleType:
    extras.require("PyTorch files need the extra `parity`", "parity", "torch")
    import torch

    return torch


def _load(torch: ModuleType, path: Path) -> Any:
    # best_auc is often a NumPy scalar. These can build one and do nothing else.
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    harmless = [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
    ]
    path.open("rb").close()  # raises a clear OSError
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=zipfile.is_zipfile(path),  # PyTorch before 1.6 wrote no zip files
            )
    except Exception as error:  # unpickling raises almost anything for other files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: this is not a checkpoint of tensors ({reason}). In PyTorch, save "
            "one with torch.save(model.state_dict(), FILE)."
        ) from None


def _without_prefix(name: str, weights: Mapping[str, Any]) -> str:
    whole = all(other.startswith(PARALLEL) for other in weights)
    return name.removeprefix(PARALLEL) if whole else name


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.element_size() < 4:
        tensor = tensor.float()  # NumPy has no bfloat16
    return tensor.numpy()


def _arrays(tree: Any) -> Any:
    """Converts the tensors in nested dicts and lists to arrays."""
    if isinstance(tree, Mapping):
        return {name: _arrays(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_arrays(value) for value in tree]
    return _array(tree) if hasattr(tree, "detach") else tree


def _tensors(torch: ModuleType, tree: Any) -> Any:
    """Converts the arrays in nested dicts and lists to tensors."""
    if isinstance(tree, Mapping):
        return {name: _tensors(torch, value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_tensors(torch, value) for value in tree]
    if isinstance(tree, np.ndarray | np.generic):
        return torch.tensor(tree)
    return tree
