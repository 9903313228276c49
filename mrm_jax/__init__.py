"""MRM-Net: multi-resolution mutual learning for multi-label ECG classification."""

from mrm_jax.version import VERSION as __version__

__all__ = ["__version__"]
