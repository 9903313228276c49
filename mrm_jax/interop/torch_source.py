"""Reads the weights of a PyTorch checkpoint, from which a run starts."""

from pathlib import Path

from mrm_jax.interop import conversion, torch_checkpoint, torch_weights
from mrm_jax.runs import transfer
from mrm_jax.training import metadata


def read(path: Path) -> transfer.Source:
    """Returns the weights of a PyTorch checkpoint of MRM-Net.

    If PyTorch made it, its labels are unknown, so all outputs of the new run are new.

    Raises:
        ValueError: if the file is no such checkpoint.
    """
    checkpoint = torch_checkpoint.read(path, with_optimizer=False)
    saved = conversion.metadata_of(checkpoint, path)
    return transfer.Source(
        str(path),
        torch_weights.from_torch(checkpoint.weights),
        metadata.describe_labels(()) if saved is None else saved["data"],
        checkpoint.epoch,
    )
