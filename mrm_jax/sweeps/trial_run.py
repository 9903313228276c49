"""One setting of a sweep while it trains: its claim, its plan, its folder."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from mrm_jax.sweeps import search_space
from mrm_jax.sweeps.leases import Claim
from mrm_jax.training import checkpoints, input_pipeline, run_folder, run_spec

TRIALS = "trials"  # of the sweep's folder


class Trial:
    """A claimed setting; what it leaves is the folder of an ordinary run."""

    def __init__(
        self,
        claim: Claim,
        config: ml_collections.ConfigDict,
        arguments: Sequence[str],
        workdir: Path,
    ):
        """Opens its folder; goes on from that of an earlier try, if that is here.

        Args:
            claim: of the study.
            config: of the sweep; the claim's values replace its own.
            arguments: "--config ..." as mrm_jax.train takes them, without the claim's.
            workdir: of the sweep.
        """
        self.claim = claim
        own = search_space.apply(config, claim.values)
        words = [*arguments, *overrides(own, claim.values)]
        self.workdir = folder(workdir, claim.number)
        if not self.workdir.exists():
            _inherit([folder(workdir, n) for n in claim.earlier], self.workdir)
        self.spec = run_spec.build_run_spec(own, f"python -m {shlex.join(words)}")
        self.run = run_folder.RunFolder(self.spec, self.workdir)

    def rows(self, num_records: int) -> np.ndarray:
        """Returns the order of its next epoch, [step, batch]."""
        return input_pipeline.shuffled_batches(
            num_records, self.spec.batch_size, self.spec.seed, self.run.epochs_done + 1
        )

    @property
    def trained(self) -> bool:
        """Whether all its epochs are done."""
        return self.run.epochs_done >= self.spec.num_epochs


def folder(workdir: Path, number: int) -> Path:
    """Returns where a trial's run is."""
    return workdir / TRIALS / f"{number:04d}"


def has_checkpoints(workdir: Path) -> bool:
    """Returns whether a trial's states are on this disk."""
    return (workdir / checkpoints.FOLDER).is_dir()


def drop_checkpoints(workdir: Path) -> None:
    """Removes the states of a run that nobody will go on with; its metrics stay."""
    shutil.rmtree(workdir / checkpoints.FOLDER, ignore_errors=True)


def overrides(config: ml_collections.ConfigDict, names: Mapping[str, Any]) -> list[str]:
    """Returns the values of these names as flags of mrm_jax.train."""
    flags = []
    for name in names:
        value: Any = config
        for part in name.split("."):
            value = value[part]
        flags.append(f"--config.{name}={value}")
    return flags


def _inherit(earlier: Sequence[Path], target: Path) -> None:
    """Copies what the newest of the earlier tries left, if it is on this disk."""
    for source in earlier:
        if not has_checkpoints(source):
            continue
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            shutil.copytree(source, partial)
        except (OSError, shutil.Error):
            # Its worker was not dead and still writes: then begin at the first epoch.
            shutil.rmtree(partial, ignore_errors=True)
            return
        partial.rename(target)
        return
