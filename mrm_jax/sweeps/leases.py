"""Leases: how the trials of a study are handed to one worker at a time.

`Leases` chooses the trial that a worker trains next and creates its attempt.
`Leaseholder` changes the state of attempts in the storage on behalf of one process.
"""

import dataclasses
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mrm_jax.sweeps import samplers
from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps import study_spec as spec_lib
from mrm_jax.sweeps import trials as trials_lib
from mrm_jax.sweeps.search_space import Value
from mrm_jax.sweeps.study_spec import StudySpec
from mrm_jax.sweeps.trials import Trial


@dataclasses.dataclass(frozen=True, eq=False)
class Lease:
    """The right to train a trial; compared by identity, so it can be a key of dicts."""

    number: int  # attempt number; names its folder
    program: int  # index into StudySpec.space.programs
    values: Mapping[str, Value]  # every value of the space, by name
    earlier: tuple[int, ...]  # lost attempts of this trial, newest first
    reported: Mapping[int, float]  # epoch -> metric, known before this lease
    trial_id: int  # Optuna's id of the attempt, unique in the storage


class Leases:
    """The leases of one process: those it holds and those it can acquire."""

    def __init__(self, storage: BaseStorage, spec: StudySpec, worker: str) -> None:
        """Joins the study and finds attempts left by an earlier process of this name.

        Raises:
            ValueError: if the study was created for a different sweep.
        """
        self.holder = Leaseholder(storage, worker)
        self.held: set[int] = set()  # ids of the attempts that were handed out
        self._left: set[int] = set()  # numbers of other running attempts
        self._storage = storage
        self._cached = optuna.storages.get_storage(storage)
        self._spec = spec
        self.study = spec_lib.join(self._cached, spec)
        # Send heartbeats before other workers consider these attempts stale.
        for trial in self._read()[1]:
            if self.holder.runs(trial.attempt):
                storage_lib.beat(storage, trial.attempt._trial_id)
                self._left.add(trial.attempt.number)

    def refresh(self) -> tuple[list[int], list[Trial]]:
        """Fails stale attempts; returns each program's share, and all trials."""
        # A process that was suspended must not fail its own attempts.
        for trial_id in tuple(self.held):
            storage_lib.beat(self._storage, trial_id)
        storage_lib.fail_stale(self.study)
        return self._read()

    def open(self, share: Sequence[int], trials: Sequence[Trial]) -> list[int]:
        """Returns how many trials of each program can be leased now."""
        counts = list(share)
        for trial in trials:
            counts[trial.program] -= not self._is_open(trial)
        return counts

    def acquire(self, program: int | None) -> Lease | None:
        """Returns a lease of an open trial, or None if there is none.

        Args:
            program: index of the trial's program; None: `_choose` picks it.
        """
        while True:
            share, trials = self.refresh()
            chosen = self._choose(share, trials) if program is None else program
            if not self.open(share, trials)[chosen]:
                return None
            found = [t for t in trials if t.program == chosen and self._is_open(t)]
            for trial in found:
                lease = self._take(trial)
                if lease is not None:
                    return lease
            if not found:
                self.study.enqueue_trial(
                    dict(self._spec.space.programs[chosen]),
                    user_attrs={trials_lib.PROGRAM: chosen},
                )

    def _read(self) -> tuple[list[int], list[Trial]]:
        requested = spec_lib.read_trials(self.study, self._spec)
        total = self._spec.total(requested)
        share = trials_lib.shares(total, len(self._spec.space.programs))
        return share, trials_lib.read(self.study.get_trials(deepcopy=False), share)

    def _is_open(self, trial: Trial) -> bool:
        if trial.attempt.number in self._left and self.holder.runs(trial.attempt):
            return True
        return trial.state in ("waiting", "lost")

    def _choose(self, share: Sequence[int], trials: Sequence[Trial]) -> int:
        """Returns the program of a trial left running, or the one with most open."""
        for trial in trials:
            if trial.state == "running" and self._is_open(trial):
                return trial.program
        counts = self.open(share, trials)
        return counts.index(max(counts))

    def _take(self, trial: Trial) -> Lease | None:
        """Returns a lease of an open trial, or None if another worker was faster."""
        attempt = trial.attempt
        try:
            match trial.state:
                case "lost":
                    self._retry(trial)  # the next iteration finds the new attempt
                    return None
                case "waiting":
                    # Noted before it runs, so that it is found again if the reply is
                    # lost.
                    self._left.add(attempt.number)
                    if not self.holder.take(attempt._trial_id):
                        raise UpdateFinishedTrialError
            if trial.exhausted:
                epochs = attempt.user_attrs[trials_lib.LEASE_EPOCHS]
                self.holder.fail(attempt, epochs)
                return None
            self.holder.mark(trial)
            return self._hand_out(trial)
        except UpdateFinishedTrialError:
            self._left.discard(attempt.number)
            return None

    def _retry(self, trial: Trial) -> None:
        """Enqueues an attempt with the values of the lost one."""
        lost = trial.attempt
        program = self._spec.space.programs[trial.program]
        attributes = {
            trials_lib.PROGRAM: trial.program,
            trials_lib.RETRY_OF: lost.number,
            trials_lib.LEASE_EPOCHS: lost.user_attrs.get(trials_lib.LEASE_EPOCHS, []),
        }
        self.study.enqueue_trial({**program, **lost.params}, user_attrs=attributes)

    def _hand_out(self, trial: Trial) -> Lease:
        spec, attempt = self._spec, trial.attempt
        # A study object shows its sampler only the attempts that existed when it was
        # loaded, so each lease loads a new one from the same storage.
        study = optuna.load_study(
            study_name=spec.name,
            storage=self._cached,
            sampler=samplers.make_sampler(
                spec.sampler, spec.space, trial.program, trial.rank, spec.seed
            ),
            pruner=self.study.pruner,  # TPE looks at the trials of its bracket
        )
        values = samplers.suggest(
            optuna.Trial(study, attempt._trial_id), spec.space.distributions
        )
        self._left.discard(attempt.number)
        self.held.add(attempt._trial_id)
        return Lease(
            number=attempt.number,
            program=trial.program,
            values=values,
            earlier=tuple(each.number for each in reversed(trial.attempts[:-1])),
            reported=trial.reported,
            trial_id=attempt._trial_id,
        )


class Leaseholder:
    """One process of a worker, and the attempts in the storage that it holds."""

    def __init__(self, storage: BaseStorage, worker: str) -> None:
        """Stores the storage and the worker's name, which survives a restart."""
        self._storage = storage
        # The id distinguishes this process from others of the same name.
        self._name = [worker, uuid.uuid4().hex]

    def take(self, trial_id: int) -> bool:
        """Sets a waiting attempt to running; returns whether this process did so."""
        # If this process dies next, its name and heartbeat are needed to find it.
        self._set(trial_id, {trials_lib.TAKER: self._name[0]})
        storage_lib.beat(self._storage, trial_id)
        return self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)

    def mark(self, trial: Trial) -> None:
        """Records this process as the holder of a trial's running attempt."""
        attempt = trial.attempt
        epochs = [*attempt.user_attrs.get(trials_lib.LEASE_EPOCHS, []), trial.epoch]
        marks = {trials_lib.OWNER: self._name, trials_lib.LEASE_EPOCHS: epochs}
        self._set(attempt._trial_id, marks)
        storage_lib.beat(self._storage, attempt._trial_id)

    def runs(self, attempt: FrozenTrial, worker: str | None = None) -> bool:
        """Returns whether an attempt runs on a worker, by default on this one."""
        name = worker or self._name[0]
        running = attempt.state == TrialState.RUNNING
        return running and trials_lib.worker(attempt) == name

    def holds(self, attempt: FrozenTrial) -> bool:
        """Returns whether an attempt runs and this process holds it."""
        return attempt.state == TrialState.RUNNING and self._marked(attempt)

    def end(self, trial_id: int, state: TrialState, value: float | None) -> bool:
        """Ends an attempt if this process holds it.

        Returns:
            Whether it ended in this state, now or in an earlier call whose reply was
            lost.
        """
        if self.holds(self._storage.get_trial(trial_id)):
            values = None if value is None else [value]
            try:
                self._storage.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                pass  # another worker failed it as stale at the same moment
        ended = self._storage.get_trial(trial_id)
        return ended.state == state and self._marked(ended)

    def end_as_diverged(self, trial_id: int, epoch: int) -> bool:
        """Ends an attempt as pruned, with NaN as its last metric.

        Because of the NaN, samplers avoid its values.
        """
        if self.holds(self._storage.get_trial(trial_id)):
            try:
                self._storage.set_trial_intermediate_value(trial_id, epoch, math.nan)
                self._set(trial_id, {trials_lib.DIVERGED: epoch})
            except UpdateFinishedTrialError:
                pass
        return self.end(trial_id, TrialState.PRUNED, None)

    def fail(self, attempt: FrozenTrial, lease_epochs: list[int]) -> None:
        """Fails a running attempt, whoever holds it, so that another can follow."""
        try:
            self._set(attempt._trial_id, {trials_lib.LEASE_EPOCHS: lease_epochs})
            self._storage.set_trial_state_values(attempt._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            pass  # it has ended, or another worker failed it

    def _marked(self, attempt: FrozenTrial) -> bool:
        return attempt.user_attrs.get(trials_lib.OWNER) == self._name

    def _set(self, trial_id: int, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, name, value)
