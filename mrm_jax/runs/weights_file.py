"""A trained network in one NumPy file, model.npz: its arrays by name, and metadata.

    with np.load("model.npz", allow_pickle=False) as file:
        metadata = json.loads(str(file["metadata"]))
        kernel = file["params/stem/conv1/kernel"]   # [tap, lead, channel]

`python -m mrm_jax.export --format npz` writes such files, the package contains some,
and every command takes one in place of a run's folder. A zip file stores a checksum of
each array, which is verified when it is read.
"""

import contextlib
import json
import shlex
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import numpy as np

SUFFIX = ".npz"
METADATA = "metadata"
FLOAT32, FLOAT16 = "float32", "float16"
PRECISIONS = (FLOAT32, FLOAT16)
PARAMS = "params"


def write(
    path: Path,
    variables: Mapping[str, Any],
    metadata: Mapping[str, Any],
    precision: str = FLOAT32,
) -> None:
    """Writes all arrays, with the metadata as JSON text.

    Args:
        path: file to write.
        variables: "params" and "batch_stats" of the network.
        metadata: JSON values.
        precision: of the parameters, one of PRECISIONS. float16 halves the file. The
            running averages stay in float32: they are few, and variances may exceed
            the range of float16.

    Raises:
        ValueError: if a parameter exceeds the range of float16.
        OSError: if the file cannot be written.
    """
    arrays: dict[str, Any] = {}
    for name, value in _flat(variables).items():
        array = np.asarray(value)
        if name.startswith(f"{PARAMS}/") and precision == FLOAT16:
            array = _half(name, array)
        arrays[name] = array
    arrays[METADATA] = np.array(json.dumps(metadata))
    with path.open("wb") as file:  # given a name, savez may append a suffix
        np.savez(file, **arrays)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the variables, in float32, and the metadata of a file.

    Raises:
        ValueError: if the file was not written by `write`, or is damaged.
        OSError: if the file does not exist.
    """
    with _open(path) as file:
        metadata = _metadata(file)
        names = [name for name in file.files if name != METADATA]
        single = {name: file[name].astype(np.float32) for name in names}
    return flax.traverse_util.unflatten_dict(single, sep="/"), metadata


def read_metadata(path: Path) -> dict[str, Any]:
    """Returns the metadata of a file without reading its arrays.

    Raises:
        ValueError: as in `read`.
        OSError: as in `read`.
    """
    with _open(path) as file:
        return _metadata(file)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    path.open("rb").close()  # raises a clear OSError
    if path.suffix in (".pt", ".pth"):
        raise ValueError(
            f"{path} seems to be a PyTorch file. Convert it to a run first: "
            f"`python -m mrm_jax.convert --torch {shlex.quote(str(path))} --run RUN`."
        )
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no NumPy archive")
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise ValueError(
            f"{path} is damaged, or was not written by "
            f"`python -m mrm_jax.export --format npz` ({error}). Export the run again."
        ) from None


def _metadata(file: np.lib.npyio.NpzFile) -> dict[str, Any]:
    if METADATA not in file:
        raise ValueError(f"found no {METADATA}")
    found = json.loads(str(file[METADATA]))
    if not isinstance(found, dict):
        raise ValueError(f"{METADATA}: expected an object")
    return found


def _flat(variables: Mapping[str, Any]) -> dict[str, Any]:
    return flax.traverse_util.flatten_dict(dict(variables), sep="/")


def _half(name: str, array: np.ndarray) -> np.ndarray:
    if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        raise ValueError(
            f"{name} has a value of {np.abs(array).max():.3g}, which float16 cannot "
            "hold. Export the run in float32."
        )
    return array.astype(np.float16)
