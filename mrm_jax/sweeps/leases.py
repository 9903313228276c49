"""Hands the trials of a study to one worker."""

import dataclasses
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mrm_jax.sweeps import samplers, trials
from mrm_jax.sweeps import settings as settings_lib
from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps import trials as trials_lib
from mrm_jax.sweeps.search_space import Value
from mrm_jax.sweeps.settings import Settings
from mrm_jax.sweeps.trials import Place


@dataclasses.dataclass(frozen=True, eq=False)
class Claim:
    """A trial that this worker is to train; equal to itself only, so a key of dicts."""

    number: int  # of the trial; names its folder
    program: int  # index into Settings.space.programs
    values: Mapping[str, Value]  # all of the space, by name
    earlier: tuple[int, ...]  # trials of this setting that were lost, newest first
    reported: Mapping[int, float]  # epoch -> metric, known before this claim
    trial_id: int  # Optuna's, unique in the storage


class Claims:
    """What one process may train, does train, and did not take up yet."""

    def __init__(self, storage: BaseStorage, settings: Settings, worker: str) -> None:
        """Joins the study; finds what a process of the same name left there.

        Raises:
            ValueError: if the study has other settings.
        """
        self.owner = Owner(storage, worker)
        self.held: set[int] = set()  # ids of trials that were handed out
        self._left: set[int] = set()  # numbers of its running trials that were not
        self._storage = storage
        self._cached = optuna.storages.get_storage(storage)
        self._settings = settings
        self.study = settings_lib.join(self._cached, settings)
        # Before it is taken for stale.
        for place in self._read()[1]:
            if self.owner.runs(place.trial):
                storage_lib.beat(storage, place.trial._trial_id)
                self._left.add(place.trial.number)

    def refresh(self) -> tuple[list[int], list[Place]]:
        """Returns each program's share, and the places; fails what is stale."""
        # A process that was suspended must not take itself for dead.
        for trial_id in tuple(self.held):
            storage_lib.beat(self._storage, trial_id)
        storage_lib.fail_stale(self.study)
        return self._read()

    def open(self, share: Sequence[int], places: Sequence[Place]) -> list[int]:
        """Returns how many settings of each program can be claimed now."""
        counts = list(share)
        for place in places:
            counts[place.program] -= not self._is_open(place)
        return counts

    def claim(self, program: int | None) -> Claim | None:
        """Returns a trial of a program, or of a fitting one, if there is any."""
        while True:
            share, places = self.refresh()
            chosen = self._choose(share, places) if program is None else program
            if not self.open(share, places)[chosen]:
                return None
            found = [p for p in places if p.program == chosen and self._is_open(p)]
            for place in found:
                claim = self._take(place)
                if claim is not None:
                    return claim
            if not found:
                self.study.enqueue_trial(
                    dict(self._settings.space.programs[chosen]),
                    user_attrs={trials_lib.PROGRAM: chosen},
                )

    def _read(self) -> tuple[list[int], list[Place]]:
        asked = settings_lib.read_trials(self.study, self._settings)
        total = self._settings.total(asked)
        share = trials_lib.shares(total, len(self._settings.space.programs))
        trials = self.study.get_trials(deepcopy=False)
        return share, trials_lib.read(trials, share)

    def _is_open(self, place: Place) -> bool:
        if place.trial.number in self._left and self.owner.runs(place.trial):
            return True
        return place.state in ("waiting", "lost")

    def _choose(self, share: Sequence[int], places: Sequence[Place]) -> int:
        """Returns the program of what was left, or the one with most open settings."""
        for place in places:
            if place.state == "running" and self._is_open(place):
                return place.program
        counts = self.open(share, places)
        return counts.index(max(counts))

    def _take(self, place: Place) -> Claim | None:
        """Returns the claim of an open place, if no other worker was faster."""
        trial = place.trial
        try:
            match place.state:
                case "lost":
                    self._follow(place)  # the trial is found at the next look
                    return None
                case "waiting":
                    # Before it runs: should the answer get lost, it is found again.
                    self._left.add(trial.number)
                    if not self.owner.take(trial._trial_id):
                        raise UpdateFinishedTrialError
            if place.exhausted:
                self.owner.fail(trial, trial.user_attrs[trials_lib.CLAIMS])
                return None
            self.owner.mark(place)
            return self._hand_out(place)
        except UpdateFinishedTrialError:
            self._left.discard(trial.number)
            return None

    def _follow(self, place: Place) -> None:
        """Makes a trial with the same values wait, after one that was lost."""
        lost = place.trial
        program = self._settings.space.programs[place.program]
        attributes = {
            trials_lib.PROGRAM: place.program,
            trials_lib.RETRY_OF: lost.number,
            trials_lib.CLAIMS: lost.user_attrs.get(trials_lib.CLAIMS, []),
        }
        self.study.enqueue_trial({**program, **lost.params}, user_attrs=attributes)

    def _hand_out(self, place: Place) -> Claim:
        settings, trial = self._settings, place.trial
        # A study object shows its sampler the trials that it first saw: a new one each
        # time, on the same storage.
        study = optuna.load_study(
            study_name=settings.name,
            storage=self._cached,
            sampler=samplers.make_sampler(
                settings.sampler,
                settings.space,
                place.program,
                place.rank,
                settings.seed,
            ),
            pruner=self.study.pruner,  # TPE looks at settings of its bracket
        )
        values = samplers.suggest(
            optuna.Trial(study, trial._trial_id), settings.space.distributions
        )
        self._left.discard(trial.number)
        self.held.add(trial._trial_id)
        return Claim(
            number=trial.number,
            program=place.program,
            values=values,
            earlier=tuple(each.number for each in reversed(place.chain[:-1])),
            reported=place.reported,
            trial_id=trial._trial_id,
        )


class Owner:
    """One process of a worker."""

    def __init__(self, storage: BaseStorage, worker: str) -> None:
        """Takes the storage, and the name that the worker keeps over restarts."""
        self._storage = storage
        # Another process under the same name is told from this one.
        self._name = [worker, uuid.uuid4().hex]

    def take(self, trial_id: int) -> bool:
        """Makes a waiting trial run; returns whether it was this process that did."""
        # First what is needed to find or to miss this process, should it die next.
        self._set(trial_id, {trials.TAKER: self._name[0]})
        storage_lib.beat(self._storage, trial_id)
        return self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)

    def mark(self, place: trials.Place) -> None:
        """Makes the running trial of a place this process's own."""
        trial = place.trial
        claims = [*trial.user_attrs.get(trials.CLAIMS, []), place.epoch]
        marks = {trials.OWNER: self._name, trials.CLAIMS: claims}
        self._set(trial._trial_id, marks)
        storage_lib.beat(self._storage, trial._trial_id)

    def runs(self, trial: FrozenTrial, worker: str | None = None) -> bool:
        """Returns whether a trial runs on a worker, by default on its own."""
        name = worker or self._name[0]
        running = trial.state == TrialState.RUNNING
        return running and trials.worker(trial) == name

    def owns(self, trial: FrozenTrial) -> bool:
        """Returns whether a trial runs and is this process's own."""
        return trial.state == TrialState.RUNNING and self._marked(trial)

    def end(self, trial_id: int, state: TrialState, value: float | None) -> bool:
        """Ends a trial, if it is this process's own.

        Returns:
            Whether it ended as asked for, now or at an earlier call that the storage
            did not answer.
        """
        if self.owns(self._storage.get_trial(trial_id)):
            values = None if value is None else [value]
            try:
                self._storage.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                pass  # taken for dead in this very instant
        ended = self._storage.get_trial(trial_id)
        return ended.state == state and self._marked(ended)

    def end_as_diverged(self, trial_id: int, epoch: int) -> bool:
        """Ends a trial as pruned, with NaN as its last metric, which samplers avoid."""
        if self.owns(self._storage.get_trial(trial_id)):
            try:
                self._storage.set_trial_intermediate_value(trial_id, epoch, math.nan)
                self._set(trial_id, {trials.DIVERGED: epoch})
            except UpdateFinishedTrialError:
                pass
        return self.end(trial_id, TrialState.PRUNED, None)

    def fail(self, trial: FrozenTrial, claims: list[int]) -> None:
        """Fails a running trial, whoever runs it, so that another one follows."""
        try:
            self._set(trial._trial_id, {trials.CLAIMS: claims})
            self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            pass  # it ended, or others did the same

    def _marked(self, trial: FrozenTrial) -> bool:
        return trial.user_attrs.get(trials.OWNER) == self._name

    def _set(self, trial_id: int, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, name, value)
