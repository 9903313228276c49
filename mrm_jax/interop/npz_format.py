"""Export to a NumPy archive with one array per parameter.

    with np.load("model.npz", allow_pickle=False) as file:
        metadata = json.loads(str(file["metadata"]))
        kernel = file["params/stem/conv1/kernel"]   # [tap, lead, channel]

`read` rebuilds the network from the file, for example to continue training it with
mrm_jax.
"""

import json
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from mrm_jax.interop import exported_model
from mrm_jax.models.mrm_net import network as mrm_net

SUFFIX = ".npz"
METADATA = "metadata"


def require() -> None:
    """Does nothing: NumPy is always there."""


def write(path: Path, network: exported_model.Network) -> None:
    """Writes all parameters and running averages, with the metadata as JSON text."""
    named = flax.traverse_util.flatten_dict(dict(network.variables), sep="/")
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in named.items()}
    arrays[METADATA] = np.array(json.dumps(network.metadata))
    with path.open("wb") as file:  # given a name, savez may append a suffix
        np.savez(file, **arrays)


def read(path: Path) -> exported_model.Network:
    """Rebuilds the network from a file, without the run that it was exported from.

    Raises:
        ValueError: if the file was not written by this module.
        OSError: if the file does not exist.
    """
    with np.load(path, allow_pickle=False) as file:
        if METADATA not in file:
            raise ValueError(f"{path}: found no {METADATA}. Export the run again.")
        metadata = json.loads(str(file[METADATA]))
        named = {name: file[name] for name in file.files if name != METADATA}
    model = mrm_net.MRMNet(**metadata["model"], mutual_stages=())
    variables = flax.traverse_util.unflatten_dict(named, sep="/")
    return exported_model.Network(model, variables, metadata)


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns a file's metadata and a function that scores signals in millivolts."""
    network = read(path)
    scores = jax.jit(exported_model.function(network))

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Scores a batch of signals in millivolts."""
        return jax.device_get(scores(signal_mv))

    return dict(network.metadata), score
