"""The study of a sweep: what its workers share, so that every setting counts once.

INTERFACE FIRST; the bodies follow. A *setting* is one point of the sweep, a *trial* is
Optuna's attempt to train it: where a worker dies, another trial of the same setting
goes on. `Study.claim` hands out trials; exactly `Settings.trials` settings end counted,
over all workers and restarts, whatever dies.
"""

import dataclasses
import enum
from collections.abc import Mapping
from types import TracebackType

from mrm_jax import search_space


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all workers of a sweep must agree on; `trials` alone may be raised later."""

    name: str  # of the study in its storage
    space: search_space.Space
    trials: int  # settings to train, over all workers and programs
    num_epochs: int
    sampler: str = "tpe"  # or random, grid, sobol
    pruner: str = "hyperband"  # or none
    seed: int = 0  # of the sampler
    config: str = ""  # hash of the base configuration and the data


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this worker is to train."""

    number: int  # of the trial; names its folder
    program: int  # index into Settings.space.programs
    values: Mapping[str, search_space.Value]  # all of the space, by name
    earlier: tuple[int, ...]  # trials of the same setting before it, newest first
    reported: Mapping[int, float]  # epoch -> metric, as known before this claim


class Verdict(enum.Enum):
    """What becomes of a trial after a report."""

    GO_ON = "go on"
    PRUNE = "prune"  # then call Study.prune
    DIVERGED = "diverged"  # the value is not finite; then call Study.diverge
    LOST = "lost"  # others took it over: drop it, nothing is counted


@dataclasses.dataclass(frozen=True)
class Row:
    """One setting, as the report lists it."""

    number: int  # of its newest trial
    state: str  # complete, pruned, diverged, given up, running, waiting
    value: float | None  # the last or told metric
    values: Mapping[str, search_space.Value]
    program: int
    epochs: int
    worker: str | None
    seconds: float | None  # of its newest trial
    reported: Mapping[int, float]


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the sweep is."""

    total: int
    ended: int
    running: int
    open: tuple[int, ...]  # per program: settings that can be claimed now

    @property
    def done(self) -> bool:
        """Whether every setting has ended."""
        return self.ended == self.total


class Study:
    """One worker's view of the study; a context manager."""

    def __init__(
        self,
        storage: str,
        settings: Settings,
        worker: str,
        beat_s: int = 60,
        grace_s: int = 180,
        patience_s: float = 60,
    ) -> None:
        """Joins the study, or makes it.

        Args:
            storage: postgresql://USER@HOST/DB, sqlite:///FILE, FILE.journal, FILE.log.
            settings: of the sweep.
            worker: a name that is no other worker's at the same time; one that comes
                back under it takes up its own trials at once.
            beat_s: how often a thread records that this worker lives.
            grace_s: after which silence its trials go to others.
            patience_s: how long a storage that does not answer is tried again.

        Raises:
            ValueError: if the study was made with other settings (lists them), the
                space does not fit the sampler, or the storage is of no known kind.
            ConnectionError: if the storage does not answer; never shows its password.
        """

    def __enter__(self) -> "Study":
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the study."""
        self.close()

    def close(self) -> None:
        """Stops the heartbeat. Trials still held stay its own until the grace is over."""

    def claim(self, program: int | None = None) -> Claim | None:
        """Returns a trial to train, or None where none can be claimed now.

        None means: all settings (of this program) are running elsewhere or have ended.

        Args:
            program: index into space.programs; None: of whichever has one.
        """
        raise NotImplementedError

    def report(self, claim: Claim, epoch: int, value: float) -> Verdict:
        """Records the metric (more is better) after an epoch, counted from 1."""
        raise NotImplementedError

    def finish(self, claim: Claim, value: float) -> bool:
        """Ends a trial as complete; False: it was lost, and is counted elsewhere."""
        raise NotImplementedError

    def prune(self, claim: Claim) -> bool:
        """Ends a trial as pruned; False: as in finish."""
        raise NotImplementedError

    def diverge(self, claim: Claim, epoch: int) -> bool:
        """Ends a trial whose training was not finite; it counts, and is not repeated."""
        raise NotImplementedError

    def give_back(self, worker: str | None = None) -> int:
        """Gives a worker's running trials (None: its own) to others now.

        For an orderly leave (SIGTERM), or for a worker of a journal, which has no
        heartbeats, that will not come back. Returns how many.
        """
        raise NotImplementedError

    def progress(self) -> Progress:
        """Returns how far the sweep is; poll it where claim returned None."""
        raise NotImplementedError

    def best(self) -> Row | None:
        """Returns the complete setting with the highest value, if there is one."""
        raise NotImplementedError

    def table(self) -> list[Row]:
        """Returns every setting that has a trial, in order of creation."""
        raise NotImplementedError
