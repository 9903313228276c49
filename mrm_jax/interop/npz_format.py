"""Export to a NumPy archive with one array per parameter.

`runs.weights_file` describes the file. Every command takes it in place of a run's
folder. `read` rebuilds the network from it.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from mrm_jax.interop import exported_model
from mrm_jax.models import networks
from mrm_jax.runs import weights_file

SUFFIX = weights_file.SUFFIX


def require() -> None:
    """Does nothing: NumPy is always there."""


def write(path: Path, network: exported_model.Network) -> None:
    """Writes all parameters and running averages, with the metadata as JSON text."""
    weights_file.write(path, network.variables, network.metadata, network.precision)


def read(path: Path) -> exported_model.Network:
    """Rebuilds the network from a file, without the run that it was exported from.

    Raises:
        ValueError: if the file was not written by this module, or is damaged.
        OSError: if the file does not exist.
    """
    variables, metadata = weights_file.read(path)
    arguments = dict(metadata["model"])
    name = arguments.pop("name", networks.MRM_NET)
    if name == networks.MRM_NET:
        arguments["mutual_stages"] = ()
    model = networks.build(name, arguments)
    return exported_model.Network(model, variables, metadata)


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns a file's metadata and a function that scores signals in millivolts."""
    network = read(path)
    scores = jax.jit(exported_model.function(network))

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Scores a batch of signals in millivolts."""
        return jax.device_get(scores(signal_mv))

    return dict(network.metadata), score
