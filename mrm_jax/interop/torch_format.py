"""Export to a PyTorch program with torch.export, which runs without mrm_jax.

    extra = {"metadata.json": ""}
    program = torch.export.load("model.pt2", extra_files=extra)
    labels = json.loads(extra["metadata.json"])["labels"]
    scores = program.module()(signal_mv)["scores_mean"]

To export only the weights, under the names in the authors' checkpoints, use
`mrm_jax.convert --to_torch`. torch_model.TorchMRMNet loads them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax.interop import exported_model, torch_weights
from mrm_jax.runtime import extras

SUFFIX = ".pt2"
METADATA = "metadata.json"


def require() -> None:
    """Raises ImportError if PyTorch is not installed; says how to install it."""
    extras.require("PyTorch files need the extra `parity`", "parity", "torch")


def write(path: Path, network: exported_model.Network) -> None:
    """Writes a program for any batch size, with the metadata in the same archive.

    Raises:
        ImportError: if PyTorch is not installed; says how to install it.
        ValueError: if the network is not MRM-Net.
    """
    require()
    import torch

    from mrm_jax.interop import torch_model

    arguments = network.metadata["model"]
    if "name" in arguments:
        raise ValueError(
            f"{arguments['name']}: only MRM-Net has a form for PyTorch. Choose another "
            "`--format`, such as onnx."
        )
    scorer = torch_model.TorchScorer(
        torch_model.TorchMRMNet(
            arguments["num_labels"],
            arguments["width"],
            exchange=arguments["exchange"],
            eca_conv=arguments["eca_conv"],
            leads=network.record_shape[1],
        ),
        *map(float, network.mean_std_mv),
    )
    weights = {
        name: torch.tensor(array)
        for name, array in torch_weights.to_torch(network.variables).items()
    }
    scorer.network.load_weights(weights)
    program = torch.export.export(
        scorer.eval(),
        (torch.zeros(2, *network.record_shape),),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
    )
    with path.open("wb") as file:
        torch.export.save(
            program, file, extra_files={METADATA: json.dumps(network.metadata)}
        )


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns a file's metadata and a function that scores signals in millivolts.

    Raises:
        ImportError: if PyTorch is not installed; says how to install it.
    """
    require()
    import torch

    extra = {METADATA: ""}
    program = torch.export.load(path, extra_files=extra).module()

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Scores a batch of signals in millivolts."""
        with torch.no_grad():
            found = program(torch.from_numpy(signal_mv))
        return {name: tensor.numpy() for name, tensor in found.items()}

    return json.loads(extra[METADATA]), score
