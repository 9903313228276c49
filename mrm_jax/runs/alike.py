"""Checks that runs which are evaluated together were trained alike.

A finished run may go on with more epochs or another patience. Its best checkpoint holds
the values of the time when it was written, so the epochs themselves are compared.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mrm_jax.runs import trained_run
from mrm_jax.training import metadata, metrics_log, run_folder, run_spec


class _Length(NamedTuple):
    """The epochs of a run, and what ended them."""

    workdir: Path
    values: list[float]  # the metric that selects the epoch, by epoch
    num_epochs: int  # of the newest checkpoint
    patience: int

    def describe(self) -> str:
        """Returns the number of epochs in words."""
        return (
            f"{self.workdir}: {len(self.values)} epochs (num_epochs "
            f"{self.num_epochs}, patience {self.patience})"
        )


def check(
    runs: Sequence[trained_run.TrainedRun], may_change: Sequence[str], advice: str
) -> None:
    """Checks that runs have the same settings and data, and trained for as long.

    Args:
        runs: the runs.
        may_change: values that may differ, such as "config.seed" or "data.records".
        advice: beginning of the error, which says what to do.

    Raises:
        ValueError: if another value differs, or the lengths of the trainings.
    """
    described = [(run.workdir, run.metadata) for run in runs]
    metadata.check_alike(described, may_change, advice)
    _check_lengths(runs)


def check_seeds(runs: Sequence[trained_run.TrainedRun]) -> None:
    """Checks that runs differ in their seed, and only there.

    Raises:
        ValueError: as `metadata.check_differ_in_seed`, or if the lengths of the
            trainings differ.
    """
    metadata.check_differ_in_seed([(run.workdir, run.metadata) for run in runs])
    _check_lengths(runs)


def _check_lengths(runs: Sequence[trained_run.TrainedRun]) -> None:
    """Checks that one num_epochs and one patience explain how long each run trained.

    Runs whose epochs are unknown, such as exported files, are not compared.

    Raises:
        ValueError: if they do not; lists the number of epochs of each run.
    """
    lengths = [found for run in runs if (found := _read(run)) is not None]
    if len({len(length.values) for length in lengths}) < 2:
        return
    if not any(all(_fits(length, asked) for length in lengths) for asked in lengths):
        listed = "\n  ".join(length.describe() for length in lengths)
        raise ValueError(
            "The runs have to be trained with the same num_epochs and patience, but "
            "their numbers of epochs differ. Extend the shorter ones with "
            f"`--config.num_epochs`, or train all of them again:\n  {listed}"
        )


def _read(run: trained_run.TrainedRun) -> _Length | None:
    """Returns the epochs of a run, or None if they are unknown."""
    if run.given is not None:
        return None
    newest = trained_run.read(run.workdir, newest=True)
    config = run_spec.saved_config(newest.metadata)
    selection = run_spec.selection_of(config.selection_head)
    lines = metrics_log.read(run.workdir)[: newest.epoch]
    values = [line[selection] for line in lines if selection in line]
    if len(values) != newest.epoch:
        return None
    return _Length(run.workdir, values, config.num_epochs, config.patience)


def _fits(length: _Length, asked: _Length) -> bool:
    """Returns whether a run would end where it did with the values of another one."""
    trained = len(length.values)
    if trained > asked.num_epochs:
        return False

    def stops_after(epoch: int) -> bool:
        """Returns whether the patience had run out after an epoch."""
        return run_folder.has_no_patience(length.values[:epoch], asked.patience)

    if any(stops_after(epoch) for epoch in range(1, trained)):
        return False
    return trained == asked.num_epochs or stops_after(trained)
