"""The network as NumPy arrays, by the names of its layers.

    with np.load("model.npz", allow_pickle=False) as file:
        metadata = json.loads(str(file["metadata"]))
        kernel = file["params/stem/conv1/kernel"]   # [tap, lead, channel]

`read` makes the network of it again: whoever has mrm_jax can train on from there.
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


def write(path: Path, network: exported_model.Network) -> None:
    """Writes all parameters and running averages, and the metadata as JSON text."""
    named = flax.traverse_util.flatten_dict(dict(network.variables), sep="/")
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in named.items()}
    arrays[METADATA] = np.array(json.dumps(network.metadata))
    with path.open("wb") as file:  # given a name, savez might add a suffix
        np.savez(file, **arrays)


def read(path: Path) -> exported_model.Network:
    """Returns the network of a file, made of nothing but the file.

    Raises:
        ValueError: if it is no such file.
        OSError: if there is none.
    """
    with np.load(path, allow_pickle=False) as file:
        if METADATA not in file:
            raise ValueError(f"{path}: no {METADATA}; export the run again")
        metadata = json.loads(str(file[METADATA]))
        named = {name: file[name] for name in file.files if name != METADATA}
    model = mrm_net.MRMNet(**metadata["model"], mutual_stages=())
    variables = flax.traverse_util.unflatten_dict(named, sep="/")
    return exported_model.Network(model, variables, metadata)


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns the metadata of a file and its scores as a function of millivolts."""
    network = read(path)
    scores = jax.jit(exported_model.function(network))

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores of a batch."""
        return jax.device_get(scores(signal_mv))

    return dict(network.metadata), score
