"""Folders with the results of several runs, which are replaced as one."""

import contextlib
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

from mrm_jax.runtime import atomic, json_files, locks


class _Facts(typing.TypedDict):
    workdirs: list[str]
    sha256: typing.NotRequired[str]


class _Results(typing.TypedDict):
    """What a file of results says about the runs and the data it belongs to."""

    facts: _Facts


def check_same(path: Path, workdirs: Sequence[str], sha256: str) -> None:
    """Checks that a file of results, if it exists, is of the given runs and data.

    Raises:
        ValueError: if it is of other runs or data, or damaged.
    """
    if not path.is_file():
        return
    advice = "Remove it, or pass another folder with `--out`."
    content = json_files.load(path, advice)
    facts = json_files.convert(content, _Results, path, advice)["facts"]
    if facts["workdirs"] != list(workdirs):
        raise ValueError(
            f"{path}: these are results of other runs, {', '.join(facts['workdirs'])}. "
            "Pass another folder with `--out`."
        )
    if facts.get("sha256", sha256) != sha256:
        raise ValueError(
            f"{path}: these are results on other records or labels that have the same "
            f"name and version. {advice}"
        )


@contextlib.contextmanager
def replacing(folder: Path, last: str) -> Iterator[Path]:
    """Yields a folder for new results, which replace those of `folder` at the end.

    Args:
        folder: created if needed, and locked meanwhile.
        last: name of the file that is replaced last, since it marks completion.
    """
    with locks.writing(folder), atomic.replacing_together(folder, last) as new:
        yield new
