"""The network as StableHLO, by jax.export: JAX runs it without a line of mrm_jax.

    with zipfile.ZipFile("model.stablehlo.zip") as file:
        metadata = json.loads(file.read("metadata.json"))
        exported = jax.export.deserialize(bytearray(file.read("scores.jax_export")))
    scores = exported.call(signal_mv)["scores_mean"]

`exported.mlir_module_serialized` is the StableHLO itself, for other compilers. One file
serves any batch on CPU, CUDA and TPU. JAX reads files of the same and of older versions
for six months, not those of newer ones; then export the run again.

A zip archive around the two, since what jax.export writes has no room for metadata.
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


def write(path: Path, network: exported_model.Network) -> None:
    """Writes the function for any batch and every platform, weights inside."""
    (batch,) = export.symbolic_shape("batch")
    signal_mv = jax.ShapeDtypeStruct((batch, *network.record_shape), np.float32)
    scores = jax.jit(exported_model.function(network))
    exported = export.export(scores, platforms=PLATFORMS)(signal_mv)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(METADATA, json.dumps(network.metadata, indent=1) + "\n")
        file.writestr(SCORES, bytes(exported.serialize()))


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns the metadata of a file and its scores as a function of millivolts."""
    with zipfile.ZipFile(path) as file:
        metadata = json.loads(file.read(METADATA))
        exported = export.deserialize(bytearray(file.read(SCORES)))

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores of a batch."""
        return jax.device_get(exported.call(signal_mv))

    return metadata, score
