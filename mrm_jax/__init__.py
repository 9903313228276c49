"""MRM-Net: multi-resolution mutual learning for multi-label ECG classification."""

from typing import TYPE_CHECKING, Any

from mrm_jax.version import VERSION as __version__

if TYPE_CHECKING:
    from mrm_jax.inference.predictor import Predictor, load
    from mrm_jax.runs.hub import push as push_to_hub

__all__ = ["__version__", "from_hub", "load", "push_to_hub"]


def from_hub(
    repo_id: str,
    *,
    revision: str | None = None,
    head: str = "mean",
    threshold: float | None = None,
    token: str | None = None,
) -> "Predictor":
    """Loads a run from the Hugging Face Hub, ready to score ECGs.

    Args:
        repo_id: "USER/NAME" or "ORGANISATION/NAME".
        revision: branch, tag or commit. Default: "main".
        head: as in `load`.
        threshold: as in `load`.
        token: access token. Default: the one that you logged in with.

    Raises:
        ImportError: if `huggingface_hub` is not installed.
        ValueError: if the hub refuses the request, or the repository holds no run or a
            damaged one.
        ConnectionError: if the hub cannot be reached and its cache has no copy.
    """
    from mrm_jax.inference import predictor
    from mrm_jax.runs import hub

    run = hub.download(repo_id, revision=revision, token=token)
    return predictor.load(run, head=head, threshold=threshold)


def __getattr__(name: str) -> Any:
    """Returns a function that is imported at its first use.

    These need JAX, which preparing data does not. PEP 562.
    """
    if name == "load":
        from mrm_jax.inference import predictor

        return predictor.load
    if name == "push_to_hub":
        from mrm_jax.runs import hub

        return hub.push
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
