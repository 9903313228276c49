"""Shares runs on the Hugging Face Hub.

  mrm_jax.push_to_hub("runs/cpsc2018", "USER/NAME")
  model = mrm_jax.from_hub("USER/NAME")

A repository holds the copy of a run that `shared_copy` writes. The environment
variables of `huggingface_hub` apply, such as `HF_ENDPOINT` and `HF_TOKEN`.
"""

import fnmatch
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mrm_jax.runs import shared_copy, trained_run
from mrm_jax.runtime import console, extras
from mrm_jax.training import checkpoints
from mrm_jax.version import VERSION

if TYPE_CHECKING:
    import huggingface_hub

MAX_NAMED = 3  # files in a message


def push(
    run: Path | str,
    repo_id: str,
    *,
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
) -> str:
    """Uploads a run to a model repository on the Hugging Face Hub, in one commit.

    The run's weights are verified first. Files of an earlier upload that the run does
    not have are deleted; all other files of the repository stay.

    Args:
        run: folder of a finished run.
        repo_id: "USER/NAME" or "ORGANISATION/NAME". Created if it does not exist.
        private: whether only you and your organisation may read it.
        revision: branch to upload to. Created if it does not exist. Default: "main".
        token: access token. Default: the one that you logged in with.

    Returns:
        The address of the repository.

    Raises:
        ImportError: if `huggingface_hub` is not installed.
        ValueError: if the run is damaged or has no report of its best epoch, the hub
            refuses the name or the token, or `private` is set and the repository exists
            and is public.
        ConnectionError: if the hub cannot be reached.
    """
    api = _open(token)
    from mrm_jax.runs import hub_errors  # imports huggingface_hub

    _check_name(repo_id)
    with tempfile.TemporaryDirectory(prefix="mrm_jax_") as temporary:
        own = trained_run.read(run, own_code=False)
        shared_copy.write(own, Path(temporary), repo_id)
        with hub_errors.explained(api, repo_id, revision):
            address = str(api.create_repo(repo_id, private=private, exist_ok=True))
            if private and not api.model_info(repo_id).private:
                raise ValueError(
                    f"{address}: this repository exists, and everybody can read it. "
                    "Pass `private=False` to upload to it, or another name."
                )
            if revision is not None:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            _commit(api, Path(temporary), repo_id, revision)
    return address if revision is None else f"{address}/tree/{revision}"


def download(
    repo_id: str, *, revision: str | None = None, token: str | None = None
) -> Path:
    """Downloads a run from the Hugging Face Hub into the hub's cache.

    Files that the cache has are not downloaded again. Without a network connection the
    run is taken from the cache.

    Args:
        repo_id: "USER/NAME" or "ORGANISATION/NAME".
        revision: branch, tag or commit. Default: "main".
        token: access token. Default: the one that you logged in with.

    Returns:
        The folder of the run. It belongs to the cache: do not write to it.

    Raises:
        ImportError: if `huggingface_hub` is not installed.
        ValueError: if the hub refuses the request, the repository holds no run, or a
            file differs from the hub's checksum.
        ConnectionError: if the hub cannot be reached and the cache has no copy.
    """
    api = _open(token)
    from mrm_jax.runs import hub_errors  # imports huggingface_hub

    _check_name(repo_id)
    with hub_errors.explained(api, repo_id, revision):
        is_online = _look_up(api, repo_id, revision)
        folder = Path(
            api.snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=list(shared_copy.PATTERNS),
                local_files_only=not is_online,
            )
        )
        if is_online:
            _verify(api, repo_id, folder)
    trained_run.read(folder, own_code=False)
    return folder


def _open(token: str | None) -> "huggingface_hub.HfApi":
    """Returns the hub.

    Raises:
        ImportError: if `huggingface_hub` is not installed.
    """
    extras.require("The hub needs the extra `hub`", "hub", "huggingface_hub")
    import huggingface_hub

    return huggingface_hub.HfApi(
        token=token, library_name="mrm_jax", library_version=VERSION
    )


def _check_name(repo_id: str) -> None:
    """Checks the name of a repository before any work.

    Raises:
        ValueError: if the hub does not allow it.
    """
    from huggingface_hub import errors, utils

    is_valid = repo_id.count("/") == 1
    try:
        utils.validate_repo_id(repo_id)
    except errors.HFValidationError:
        is_valid = False
    if not is_valid:
        raise ValueError(
            f"{repo_id!r} is not the name of a repository. Expected USER/NAME or "
            "ORGANISATION/NAME, of letters, digits, '-', '_' and '.', with at most 96 "
            "characters."
        )


def _commit(
    api: "huggingface_hub.HfApi", folder: Path, repo_id: str, revision: str | None
) -> None:
    """Replaces the run in a repository.

    One commit, unlike `upload_folder`: nobody downloads half of a run. The hub refuses
    it if another one was made meanwhile.
    """
    import huggingface_hub

    new = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    there = api.model_info(repo_id, revision=revision)
    old = {file.rfilename for file in there.siblings or ()}
    api.create_commit(
        repo_id,
        [
            *(
                huggingface_hub.CommitOperationDelete(name)
                for name in sorted(old - new.keys())
                if any(fnmatch.fnmatch(name, p) for p in shared_copy.PATTERNS)
            ),
            *(
                huggingface_hub.CommitOperationAdd(name, path)
                for name, path in new.items()
            ),
        ],
        commit_message=f"Upload a run of mrm_jax {VERSION}",
        revision=revision,
        parent_commit=there.sha,
    )


def _look_up(api: "huggingface_hub.HfApi", repo_id: str, revision: str | None) -> bool:
    """Returns whether the hub can be reached.

    Raises:
        ValueError: if the repository holds no run.
    """
    from mrm_jax.runs import hub_errors  # imports huggingface_hub

    try:
        found = api.model_info(repo_id, revision=revision)
    except Exception as error:
        if not hub_errors.is_unreachable(error):
            raise
        console.say(f"{api.endpoint} cannot be reached. Using the cached {repo_id}.")
        return False
    names = [file.rfilename for file in found.siblings or ()]
    if not any(name.startswith(f"{checkpoints.FOLDER}/") for name in names):
        raise ValueError(
            f"{api.endpoint}/{repo_id}: this repository holds no run of mrm_jax, as it "
            f"has no {checkpoints.FOLDER}/. Expected one that `mrm_jax.push_to_hub` "
            "wrote."
        )
    return True


def _verify(api: "huggingface_hub.HfApi", repo_id: str, folder: Path) -> None:
    """Compares downloaded files with the checksums of the hub.

    Raises:
        ValueError: if one differs.
    """
    found = api.verify_repo_checksums(repo_id, revision=folder.name)
    damaged = [mismatch["path"] for mismatch in found.mismatches]
    if damaged:
        more = ", ..." if len(damaged) > MAX_NAMED else ""
        raise ValueError(
            f"{folder}: these files differ from {api.endpoint}/{repo_id}: "
            f"{', '.join(damaged[:MAX_NAMED])}{more}. Remove {folder.parents[1]} and "
            "download the run again."
        )
