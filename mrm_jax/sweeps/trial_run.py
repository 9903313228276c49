"""A trial in training: its lease, its run specification and its folder."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from mrm_jax.sweeps import search_space
from mrm_jax.sweeps.leases import Lease
from mrm_jax.training import checkpoints, input_pipeline, run_folder, run_spec

TRIALS_FOLDER = "trials"  # in the sweep's folder


class TrialRun:
    """A leased trial, which trains into an ordinary run folder."""

    def __init__(
        self,
        lease: Lease,
        config: ml_collections.ConfigDict,
        arguments: Sequence[str],
        workdir: Path,
    ):
        """Opens the folder, or copies an earlier attempt's folder from this disk.

        Args:
            lease: lease of the trial.
            config: configuration of the sweep; the lease's values replace its own.
            arguments: "--config ..." flags of mrm_jax.train, without the lease's
                values.
            workdir: folder of the sweep.
        """
        self.lease = lease
        own = search_space.apply(config, lease.values)
        words = [*arguments, *overrides(own, lease.values)]
        self.workdir = folder(workdir, lease.number)
        if not self.workdir.exists():
            _inherit([folder(workdir, n) for n in lease.earlier], self.workdir)
        words.append(f"--workdir={self.workdir}")
        self.spec = run_spec.build_run_spec(own, f"python -m {shlex.join(words)}")
        self.run = run_folder.RunFolder(self.spec, self.workdir)

    def rows(self, num_records: int) -> np.ndarray:
        """Returns the records of the next epoch in order, [step, batch]."""
        return input_pipeline.shuffled_batches(
            num_records, self.spec.batch_size, self.spec.seed, self.run.epochs_done + 1
        )

    @property
    def trained(self) -> bool:
        """Whether all epochs are trained, or the patience has run out."""
        return self.run.is_finished()

    @property
    def unreported(self) -> float | None:
        """The metric of the newest epoch, if its worker died before reporting it."""
        is_reported = self.run.epochs_done in self.lease.reported
        return None if is_reported else self.run.newest_value


def folder(workdir: Path, number: int) -> Path:
    """Returns the folder of an attempt's run."""
    return workdir / TRIALS_FOLDER / f"{number:04d}"


def has_checkpoints(workdir: Path) -> bool:
    """Returns whether an attempt's checkpoints are on this disk."""
    return (workdir / checkpoints.FOLDER).is_dir()


def drop_checkpoints(workdir: Path) -> None:
    """Removes the checkpoints of a run that will not be resumed; its metrics stay."""
    shutil.rmtree(workdir / checkpoints.FOLDER, ignore_errors=True)


def overrides(config: ml_collections.ConfigDict, names: Mapping[str, Any]) -> list[str]:
    """Returns the values of the named options as flags of mrm_jax.train."""
    flags = []
    for name in names:
        value: Any = config
        for part in name.split("."):
            value = value[part]
        flags.append(f"--config.{name}={value}")
    return flags


def _inherit(earlier: Sequence[Path], target: Path) -> None:
    """Copies the folder of the newest earlier attempt that is on this disk."""
    for source in earlier:
        if not has_checkpoints(source):
            continue
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            shutil.copytree(source, partial)
        except (OSError, shutil.Error):
            # Its worker is alive after all and still writes: start at the first epoch.
            shutil.rmtree(partial, ignore_errors=True)
            return
        partial.rename(target)
        return
