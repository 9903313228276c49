"""Export to StableHLO with jax.export, which JAX runs without mrm_jax.

    with zipfile.ZipFile("model.stablehlo.zip") as file:
        metadata = json.loads(file.read("metadata.json"))
        exported = jax.export.deserialize(bytearray(file.read("scores.jax_export")))
    scores = exported.call(signal_mv)["scores_mean"]

`exported.mlir_module_serialized` is the StableHLO itself, for other compilers. One file
works for any batch size on CPU, CUDA and TPU. JAX reads files written by the same
version and by older versions up to six months old, but not by newer ones. Otherwise,
export the run again.

The file is a zip archive because the output of jax.export cannot hold metadata.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from mrm_jax.interop import exported_model

SUFFIX = ".stablehlo.zip"
METADATA, SCORES = "metadata.json", "scores.jax_export"
PLATFORMS = ("cpu", "cuda", "tpu")


def require() -> None:
    """Does nothing: JAX is always there."""


def write(path: Path, network: exported_model.Network) -> None:
    """Writes the function, including its weights, for any batch size and platform."""
    (batch,) = export.symbolic_shape("batch")
    signal_mv = jax.ShapeDtypeStruct((batch, *network.record_shape), np.float32)
    scores = jax.jit(exported_model.function(network))
    exported = export.export(scores, platforms=PLATFORMS)(signal_mv)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(METADATA, json.dumps(network.metadata, indent=1) + "\n")
        file.writestr(SCORES, bytes(exported.serialize()))


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns a file's metadata and a function that scores signals in millivolts."""
    with zipfile.ZipFile(path) as file:
        metadata = json.loads(file.read(METADATA))
        exported = export.deserialize(bytearray(file.read(SCORES)))

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Scores a batch of signals in millivolts."""
        return jax.device_get(exported.call(signal_mv))

    return metadata, score
