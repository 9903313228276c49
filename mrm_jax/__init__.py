"""MRM-Net: multi-resolution mutual learning for multi-label ECG classification."""

from typing import TYPE_CHECKING, Any

from mrm_jax.version import VERSION as __version__

if TYPE_CHECKING:
    from mrm_jax.inference.predictor import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Returns `load`, imported at its first use: it needs JAX, preparing data does not.

    PEP 562.
    """
    if name == "load":
        from mrm_jax.inference import predictor

        return predictor.load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
