"""What an evaluation is asked for: records, resamples, and where its results go."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrm_jax import checkpoints, intervals

FOLDER = "evaluations"


@dataclasses.dataclass(frozen=True)
class Request:
    """Which records runs are judged on, and how."""

    split: str = "test"
    shards_dir: str | None = None  # None: each run's own, where they were
    out: Path | None = None  # None: chosen by what is judged
    resamples: int = intervals.RESAMPLES
    seed: int = intervals.SEED  # of the resamples
    command: str = ""  # goes into the results, so that others can repeat it

    def folder(
        self,
        workdir: Path,
        other_data: Mapping[str, Any] | None = None,
        what: str = "",
        rewrites: bool = False,
    ) -> Path:
        """Returns where results go: into a run's own folder for its own report only.

        Args:
            workdir: of the run, or of the first of several.
            other_data: data facts, where they are not the run's.
            what: the end of the folder's name, where it is no report of one run.
            rewrites: whether the results are the run's own report.

        Raises:
            ValueError: if it would be a run's own folder otherwise.
        """
        if rewrites and self.out in (None, workdir):
            return workdir
        data = "" if other_data is None else f"-{_slug(name(other_data))}"
        folder = self.out or workdir / FOLDER / f"{self.split}{data}{what}"
        if (folder / checkpoints.FOLDER).is_dir():
            raise ValueError(
                f"{folder}: holds a run, whose report would be lost; give another --out"
            )
        return folder


def name(data: Mapping[str, Any]) -> str:
    """Returns data set and version of data facts."""
    return f"{data['data_set']} {data['data_set_version']}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
