"""Errors of the Hugging Face Hub, each as one message that says what to do.

`huggingface_hub` raises some forty kinds of errors, many of them with several lines.
"""

import contextlib
from collections.abc import Iterator

from huggingface_hub import HfApi, errors

LOG_IN = "log in with `hf auth login`, or pass a token as `token`"
NO_NETWORK = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)


@contextlib.contextmanager
def explained(api: HfApi, repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turns errors of `huggingface_hub` within a block into one sentence or two.

    Args:
        api: the hub.
        repo_id: repository that the block uses.
        revision: branch, tag or commit that the block uses.

    Raises:
        ValueError: if the hub refuses a request.
        ConnectionError: if the hub cannot be reached, or does not work.
    """
    try:
        yield
    except Exception as error:
        # Errors of single uploads are wrapped.
        inner = error.__cause__ if isinstance(error, RuntimeError) else error
        explanation = _explain(inner, f"{api.endpoint}/{repo_id}", revision)
        if explanation is None:
            raise
        raise explanation from None


def is_unreachable(error: Exception) -> bool:
    """Returns whether the hub could not be reached, or does not work."""
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code >= 500
    return isinstance(error, (errors.HTTPError, *NO_NETWORK))


def _explain(
    error: BaseException | None, address: str, revision: str | None
) -> Exception | None:
    """Returns an error with a message of ours, or None for errors of other kinds."""
    if isinstance(error, errors.LocalEntryNotFoundError):
        return ConnectionError(
            f"{address}: the hub cannot be reached, and the cache has no complete copy "
            "of this repository. Repeat this with a network connection."
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _explain_refusal(error, address, revision)
    if isinstance(error, errors.HTTPError | errors.OfflineModeIsEnabled):
        return ConnectionError(
            f"{address}: the hub cannot be reached ({_first_line(error)}). Check the "
            "network connection and the environment variables HF_ENDPOINT and "
            "HF_HUB_OFFLINE."
        )
    return None


def _explain_refusal(
    error: errors.HfHubHTTPError, address: str, revision: str | None
) -> Exception:
    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return ValueError(f"{address}: ask for access on this page, and {LOG_IN}.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return ValueError(
            f"{address}: this repository was not found, or it is private. Check its "
            f"name. If it is private, {LOG_IN} that may read it."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ValueError(
            f"{address}: this repository has no branch, tag or commit {revision!r}."
        )
    if status == 401:
        return ValueError(
            f"{address}: the hub did not accept the token, or there is none. "
            f"{LOG_IN[0].upper()}{LOG_IN[1:]}."
        )
    if status == 403:
        return ValueError(
            f"{address}: the token does not permit this. Check the name of the user or "
            "organisation, and that the token may read and, to upload, write there."
        )
    said = f"status {status}: {error.server_message or 'no reason given'}"
    if status < 500 and status != 429:
        return ValueError(f"{address}: the hub refused this ({said}).")
    return ConnectionError(f"{address}: the hub does not work ({said}). Try it later.")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
