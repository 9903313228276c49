"""The study of a sweep: what its workers share, so that every setting counts once.

A *setting* is one point of the sweep, a *trial* is Optuna's attempt to train it: where
a worker dies, another trial of the same setting follows. `Study.claim` hands out
trials. As many settings as `Settings.trials` says end and count, over all workers and
restarts, none twice: trials.py says how that holds without locks.
"""

import dataclasses
import enum
import functools
import math
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from mrm_jax.sweeps import leases, trials
from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps.leases import Claim
from mrm_jax.sweeps.settings import Settings
from mrm_jax.sweeps.trials import Row

P = ParamSpec("P")
T = TypeVar("T")


class Verdict(enum.Enum):
    """What becomes of a trial after a report."""

    GO_ON = "go on"
    PRUNE = "prune"  # then call Study.prune
    DIVERGED = "diverged"  # the metric is not finite; then call Study.diverge
    LOST = "lost"  # another worker took it over; drop it, nothing counts


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the sweep is, in settings."""

    total: int
    ended: int
    running: int  # this worker's own ones too
    open: tuple[int, ...]  # that this worker can claim now, for each program

    @property
    def done(self) -> bool:
        """Whether every setting has ended."""
        return self.ended == self.total


def _patient(
    method: Callable[Concatenate["Study", P], T],
) -> Callable[Concatenate["Study", P], T]:
    """Makes a method wait for a storage that does not answer; it may run twice then."""

    @functools.wraps(method)
    def wait(self: "Study", *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the method until the storage answers."""
        return self._patience(lambda: method(self, *args, **kwargs))

    return wait


class Study:
    """One worker's side of the study; a context manager, for one thread.

    All methods raise ConnectionError where the storage does not answer for patience_s.
    """

    def __init__(
        self,
        storage: str,
        settings: Settings,
        worker: str,
        heartbeat_s: int = 60,
        timeout_s: int = 180,
        patience_s: float = 60,
    ) -> None:
        """Makes or joins the study, and starts the heartbeat.

        Args:
            storage: postgresql://USER@HOST/DATABASE, sqlite:///FILE or FILE.journal
                (or .log). A journal has no heartbeats: what a worker leaves waits for
                one of the same name, or for give_back.
            settings: of the sweep.
            worker: a name that no other worker has at the same time. One that comes
                back under it takes up its own trials at once.
            beat_s: how often a thread records that this worker's trials are alive.
            grace_s: after which silence they go to others; the same for all workers.
            patience_s: how long to try again where the storage does not answer.

        Raises:
            ValueError: if the study has other settings, or storage has no known form.
            ConnectionError: if the storage does not answer; shows no password.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._settings = settings
        self._patience = storage_lib.Patience(storage, patience_s)
        self._storage = self._patience(
            lambda: storage_lib.open_storage(storage, heartbeat_s, timeout_s)
        )
        self._claims = self._patience(
            lambda: leases.Claims(self._storage, settings, worker)
        )
        self._heartbeat = storage_lib.Heartbeat(
            self._storage, lambda: tuple(self._claims.held), heartbeat_s
        )

    def __enter__(self) -> "Study":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the study."""
        self.close()

    def close(self) -> None:
        """Stops the heartbeat; what was not ended or given back waits for the grace."""
        self._heartbeat.stop()
        storage_lib.close(self._storage)

    @_patient
    def claim(self, program: int | None = None) -> Claim | None:
        """Returns a trial to train; None where all are running elsewhere or have ended.

        Args:
            program: index into Settings.space.programs; None: of what this worker left
                when it died, or else of the one with most open settings, so that
                workers spread over the programs.
        """
        return self._claims.claim(program)

    @_patient
    def report(self, claim: Claim, epoch: int, value: float) -> Verdict:
        """Records the metric after an epoch and says what becomes of the trial.

        Args:
            claim: of this worker, not yet ended.
            epoch: from 1; after the last one nothing is pruned.
            value: more is better.
        """
        trial_id, finite = claim.trial_id, math.isfinite(value)
        try:
            if not self._claims.owner.owns(self._storage.get_trial(trial_id)):
                raise UpdateFinishedTrialError
            self._storage.set_trial_intermediate_value(
                trial_id, epoch, value if finite else math.nan
            )
            if not finite:
                return Verdict.DIVERGED
            if epoch >= self._settings.num_epochs:
                return Verdict.GO_ON
            trial = self._storage.get_trial(trial_id)
            study = self._claims.study
            pruned = study.pruner.prune(study, trial)
            return Verdict.PRUNE if pruned else Verdict.GO_ON
        except UpdateFinishedTrialError:
            self._claims.held.discard(trial_id)
            return Verdict.LOST

    @_patient
    def finish(self, claim: Claim, value: float) -> bool:
        """Ends a trial that was trained to the end; value is what settings compare by.

        Returns:
            Whether it counts. If not, it was lost to another worker, which goes on.
        """
        ended = self._claims.owner.end(claim.trial_id, TrialState.COMPLETE, value)
        self._claims.held.discard(claim.trial_id)
        return ended

    @_patient
    def prune(self, claim: Claim) -> bool:
        """Ends a trial early, with its last metric; returns whether it counts."""
        reported = self._storage.get_trial(claim.trial_id).intermediate_values
        finite = [e for e, value in reported.items() if math.isfinite(value)]
        last = reported[max(finite)] if finite else None
        ended = self._claims.owner.end(claim.trial_id, TrialState.PRUNED, last)
        self._claims.held.discard(claim.trial_id)
        return ended

    @_patient
    def diverge(self, claim: Claim, epoch: int) -> bool:
        """Ends a trial that was not finite in an epoch; returns whether it counts.

        It is not trained again, and samplers take it for bad.
        """
        ended = self._claims.owner.end_as_diverged(claim.trial_id, epoch)
        self._claims.held.discard(claim.trial_id)
        return ended

    @_patient
    def give_back(self, worker: str | None = None) -> int:
        """Gives the running trials of a worker (None: its own) to all, now.

        Before an orderly leave; or for a worker that will not come back, where the
        grace is too long or there are no heartbeats (journal).

        Returns:
            How many there were.
        """
        owner, places = self._claims.owner, self._claims.refresh()[1]
        left = [place.trial for place in places if owner.runs(place.trial, worker)]
        for trial in left:
            # Leaving in order is no sign of a setting that kills its workers.
            owner.fail(trial, trial.user_attrs.get(trials.CLAIMS, [])[:-1])
            self._claims.held.discard(trial._trial_id)
        return len(left)

    @_patient
    def progress(self) -> Progress:
        """Returns how far the sweep is; to be asked again where claim found nothing."""
        share, places = self._claims.refresh()
        states = [place.state for place in places]
        return Progress(
            total=sum(share),
            ended=sum(state in trials.ENDED for state in states),
            running=states.count("running"),
            open=tuple(self._claims.open(share, places)),
        )

    @_patient
    def table(self) -> list[Row]:
        """Returns all settings that have a trial, in the order they were made."""
        return [trials.row(place) for place in self._claims.refresh()[1]]

    def best(self) -> Row | None:
        """Returns the complete setting with the highest value, if there is one."""
        rows = [row for row in self.table() if row.state == "complete"]
        return max(rows, key=_value, default=None)


def _value(row: Row) -> float:
    return -math.inf if row.value is None else row.value
