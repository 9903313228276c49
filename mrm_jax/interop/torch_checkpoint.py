"""Reading and writing PyTorch's checkpoint files, as NumPy arrays.

The only file that imports torch, and only when it is called.
"""

import dataclasses
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mrm_jax.runtime import atomic

WEIGHTS, OPTIMIZER = "model_state_dict", "optimizer_state_dict"
EPOCH, METRIC = "global_epoch", "best_auc"
PARALLEL = "module."  # what DataParallel puts before every name


@dataclasses.dataclass(frozen=True)
class TorchCheckpoint:
    """The content of a checkpoint file."""

    weights: Mapping[str, np.ndarray]  # by PyTorch's names
    optimizer: Mapping[str, Any] | None = None  # of torch.optim.Adam
    epoch: int = 0  # epochs trained; 0 where the file does not say
    metric: float | None = None  # the best one so far, whatever it was taken of


def read(path: Path, *, with_optimizer: bool = True) -> TorchCheckpoint:
    """Returns what a file of `torch.save` holds.

    Either a bare state dict or {"model_state_dict", "global_epoch",
    "optimizer_state_dict", "best_auc"}, of which only the first is needed. Arrays are
    views of the mapped file, read when they are used. Nothing but tensors and plain
    values is unpickled, so that a file from a stranger is safe to read.

    Raises:
        ImportError: without PyTorch; says how to install it.
        ValueError: if the file holds something else.
        OSError: if there is no such file.
    """
    content = _load(_torch(), path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a state dict, found {type(content)}")
    wrapped = WEIGHTS in content
    weights = content[WEIGHTS] if wrapped else content
    if not weights or not all(hasattr(tensor, "numpy") for tensor in weights.values()):
        raise ValueError(
            f"{path}: expected tensors by name, or {WEIGHTS!r} with them; found "
            f"{', '.join(map(str, list(content)[:8])) or 'nothing'}"
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
    )


def write(path: Path, checkpoint: TorchCheckpoint) -> None:
    """Writes a file that PyTorch reads with `weights_only=True`, all keys in place.

    Raises:
        ImportError: without PyTorch; says how to install it.
        OSError: if the file cannot be written.
    """
    torch = _torch()
    content = {
        WEIGHTS: _tensors(torch, checkpoint.weights),
        EPOCH: checkpoint.epoch,
        OPTIMIZER: _tensors(torch, checkpoint.optimizer),
        METRIC: checkpoint.metric,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(path) as partial:
        torch.save(content, partial)


def _torch() -> ModuleType:
    try:
        import torch
    except ImportError:
        raise ImportError(
            "PyTorch's files need PyTorch; in a clone of the repository: "
            "pip install -c constraints.txt -e '.[parity]'"
        ) from None
    return torch


def _load(torch: ModuleType, path: Path) -> Any:
    # A best_auc is often a NumPy scalar; these build one and can do nothing else.
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    harmless = [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
    ]
    path.open("rb").close()  # a clear OSError
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=zipfile.is_zipfile(path),  # not the format before PyTorch 1.6
            )
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: not a checkpoint of tensors ({reason}); in PyTorch, save with "
            "torch.save(model.state_dict(), FILE)"
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
    """Returns dicts and lists with their tensors as arrays."""
    if isinstance(tree, Mapping):
        return {name: _arrays(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_arrays(value) for value in tree]
    return _array(tree) if hasattr(tree, "detach") else tree


def _tensors(torch: ModuleType, tree: Any) -> Any:
    """Returns dicts and lists with their arrays as tensors."""
    if isinstance(tree, Mapping):
        return {name: _tensors(torch, value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_tensors(torch, value) for value in tree]
    if isinstance(tree, np.ndarray | np.generic):
        return torch.tensor(tree)
    return tree
