"""The study of a sweep, shared by its workers so that every trial counts once.

A *trial* is one point of the sweep; an *attempt* is one training of it, which Optuna
stores as a trial of its own. If a worker dies, another attempt of the same trial
follows. `Study.acquire` leases trials to the worker. Over all workers and restarts,
exactly `StudySpec.trials` trials end and count, each of them once. `sweeps.trials`
explains why this needs no locks.
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

from mrm_jax.sweeps import leases
from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps import trials as trials_lib
from mrm_jax.sweeps.leases import Lease
from mrm_jax.sweeps.study_spec import StudySpec
from mrm_jax.sweeps.trials import Row

P = ParamSpec("P")
T = TypeVar("T")


class Verdict(enum.Enum):
    """The decision on a trial after a report."""

    GO_ON = "go on"
    PRUNE = "prune"  # then call Study.prune
    DIVERGED = "diverged"  # the metric is not finite; then call Study.diverge
    LOST = "lost"  # another worker took the trial over; drop this attempt


@dataclasses.dataclass(frozen=True)
class Progress:
    """The progress of a sweep, in trials."""

    total: int
    ended: int
    running: int  # including this worker's own
    open: tuple[int, ...]  # trials that this worker can lease now, by program

    @property
    def done(self) -> bool:
        """Whether every trial has ended."""
        return self.ended == self.total


def _patient(
    method: Callable[Concatenate["Study", P], T],
) -> Callable[Concatenate["Study", P], T]:
    """Makes a method retry while the storage does not answer, so it may run twice."""

    @functools.wraps(method)
    def wait(self: "Study", *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the method until the storage answers."""
        return self._patience(lambda: method(self, *args, **kwargs))

    return wait


class Study:
    """One worker's access to the study; a context manager for use by one thread.

    All methods raise ConnectionError if the storage does not answer for patience_s.
    """

    def __init__(
        self,
        storage: str,
        spec: StudySpec,
        worker: str,
        heartbeat_s: int = 60,
        timeout_s: int = 180,
        patience_s: float = 60,
    ) -> None:
        """Creates or joins the study, and starts the heartbeat.

        Args:
            storage: postgresql://USER@HOST/DATABASE, sqlite:///FILE or FILE.journal
                (or .log). A journal has no heartbeats. The trials of a worker that
                died wait there for a worker of the same name, or for `release`.
            spec: specification of the sweep.
            worker: name that no other worker uses at the same time. A worker that is
                restarted under its old name resumes its own trials at once.
            heartbeat_s: interval between heartbeats of this worker's trials, seconds.
            timeout_s: time without a heartbeat after which other workers take over a
                trial, seconds; the same for all workers.
            patience_s: time to retry while the storage does not answer, seconds.

        Raises:
            ValueError: if the study was created for a different sweep, or the form of
                storage is unknown.
            ConnectionError: if the storage does not answer; the message hides the
                password.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec = spec
        self._patience = storage_lib.Patience(storage, patience_s)
        self._storage = self._patience(
            lambda: storage_lib.open_storage(storage, heartbeat_s, timeout_s)
        )
        self._leases = self._patience(
            lambda: leases.Leases(self._storage, spec, worker)
        )
        self._heartbeat = storage_lib.Heartbeat(
            self._storage, lambda: tuple(self._leases.held), heartbeat_s
        )

    def __enter__(self) -> "Study":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the study."""
        self.close()

    def close(self) -> None:
        """Stops the heartbeat; trials still running wait for the timeout."""
        self._heartbeat.stop()
        storage_lib.close(self._storage)

    @_patient
    def acquire(self, program: int | None = None) -> Lease | None:
        """Returns a trial to train, or None if all are running elsewhere or have ended.

        Args:
            program: index into StudySpec.space.programs; None: the program of a trial
                that this worker left when it died, or else the one with most open
                trials, so that workers spread over the programs.
        """
        return self._leases.acquire(program)

    @_patient
    def report(self, lease: Lease, epoch: int, value: float) -> Verdict:
        """Records the metric after an epoch and decides whether the trial goes on.

        Args:
            lease: lease that this worker holds.
            epoch: number of the epoch, from 1; after the last one nothing is pruned.
            value: validation metric; larger is better.
        """
        trial_id, finite = lease.trial_id, math.isfinite(value)
        try:
            if not self._leases.holder.holds(self._storage.get_trial(trial_id)):
                raise UpdateFinishedTrialError
            self._storage.set_trial_intermediate_value(
                trial_id, epoch, value if finite else math.nan
            )
            if not finite:
                return Verdict.DIVERGED
            if epoch >= self._spec.num_epochs:
                return Verdict.GO_ON
            trial = self._storage.get_trial(trial_id)
            study = self._leases.study
            pruned = study.pruner.prune(study, trial)
            return Verdict.PRUNE if pruned else Verdict.GO_ON
        except UpdateFinishedTrialError:
            self._leases.held.discard(trial_id)
            return Verdict.LOST

    @_patient
    def finish(self, lease: Lease, value: float) -> bool:
        """Completes a trial with the value by which trials are compared.

        Returns:
            Whether it counts. If not, another worker took the trial over.
        """
        ended = self._leases.holder.end(lease.trial_id, TrialState.COMPLETE, value)
        self._leases.held.discard(lease.trial_id)
        return ended

    @_patient
    def prune(self, lease: Lease) -> bool:
        """Ends a trial early, with its last metric; returns whether it counts."""
        reported = self._storage.get_trial(lease.trial_id).intermediate_values
        finite = [e for e, value in reported.items() if math.isfinite(value)]
        last = reported[max(finite)] if finite else None
        ended = self._leases.holder.end(lease.trial_id, TrialState.PRUNED, last)
        self._leases.held.discard(lease.trial_id)
        return ended

    @_patient
    def diverge(self, lease: Lease, epoch: int) -> bool:
        """Ends a trial that diverged in an epoch; returns whether it counts.

        It is not retried, and samplers avoid its values.
        """
        ended = self._leases.holder.end_as_diverged(lease.trial_id, epoch)
        self._leases.held.discard(lease.trial_id)
        return ended

    @_patient
    def release(self, worker: str | None = None) -> int:
        """Releases the running trials of a worker, so that any worker can lease them.

        Call it before an orderly exit, or for a worker that will not come back if the
        timeout is too long or the storage has no heartbeats (journal).

        Args:
            worker: name of the worker; None: this one.

        Returns:
            The number of trials released.
        """
        holder, trials = self._leases.holder, self._leases.refresh()[1]
        released = [t.attempt for t in trials if holder.runs(t.attempt, worker)]
        for attempt in released:
            # An orderly exit does not count as a failed attempt.
            epochs = attempt.user_attrs.get(trials_lib.LEASE_EPOCHS, [])[:-1]
            holder.fail(attempt, epochs)
            self._leases.held.discard(attempt._trial_id)
        return len(released)

    @_patient
    def progress(self) -> Progress:
        """Returns the sweep's progress; also fails trials without a heartbeat."""
        share, trials = self._leases.refresh()
        states = [trial.state for trial in trials]
        return Progress(
            total=sum(share),
            ended=sum(state in trials_lib.ENDED for state in states),
            running=states.count("running"),
            open=tuple(self._leases.open(share, trials)),
        )

    @_patient
    def table(self) -> list[Row]:
        """Returns all trials with an attempt, in the order of their creation."""
        return [trials_lib.row(trial) for trial in self._leases.refresh()[1]]

    def best(self) -> Row | None:
        """Returns the complete trial with the highest value, if there is one."""
        rows = [row for row in self.table() if row.state == "complete"]
        return max(rows, key=_value, default=None)


def _value(row: Row) -> float:
    return -math.inf if row.value is None else row.value
