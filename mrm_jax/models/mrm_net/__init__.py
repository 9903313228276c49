"""MRM-Net: stem, two branches with attention, and their mutual learning."""

from mrm_jax.models.mrm_net.network import MRMNet

__all__ = ["MRMNet"]
