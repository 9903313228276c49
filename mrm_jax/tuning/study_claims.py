"""Hands the trials of a study to one worker."""

import dataclasses
from collections.abc import Mapping, Sequence

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage

from mrm_jax.tuning import (
    study_owner,
    study_places,
    study_samplers,
    study_settings,
    study_storage,
)
from mrm_jax.tuning.search_space import Value
from mrm_jax.tuning.study_places import Place
from mrm_jax.tuning.study_settings import Settings


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
        self.owner = study_owner.Owner(storage, worker)
        self.held: set[int] = set()  # ids of trials that were handed out
        self._left: set[int] = set()  # numbers of its running trials that were not
        self._storage = storage
        self._cached = optuna.storages.get_storage(storage)
        self._settings = settings
        self.study = study_settings.join(self._cached, settings)
        # Before it is taken for stale.
        for place in self._read()[1]:
            if self.owner.runs(place.trial):
                study_storage.beat(storage, place.trial._trial_id)
                self._left.add(place.trial.number)

    def refresh(self) -> tuple[list[int], list[Place]]:
        """Returns each program's share, and the places; fails what is stale."""
        # A process that was suspended must not take itself for dead.
        for trial_id in tuple(self.held):
            study_storage.beat(self._storage, trial_id)
        study_storage.fail_stale(self.study)
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
                    user_attrs={study_places.PROGRAM: chosen},
                )

    def _read(self) -> tuple[list[int], list[Place]]:
        asked = study_settings.read_trials(self.study, self._settings)
        total = self._settings.total(asked)
        share = study_places.shares(total, len(self._settings.space.programs))
        trials = self.study.get_trials(deepcopy=False)
        return share, study_places.read(trials, share)

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
                self.owner.fail(trial, trial.user_attrs[study_places.CLAIMS])
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
            study_places.PROGRAM: place.program,
            study_places.RETRY_OF: lost.number,
            study_places.CLAIMS: lost.user_attrs.get(study_places.CLAIMS, []),
        }
        self.study.enqueue_trial({**program, **lost.params}, user_attrs=attributes)

    def _hand_out(self, place: Place) -> Claim:
        settings, trial = self._settings, place.trial
        # A study object shows its sampler the trials that it first saw: a new one each
        # time, on the same storage.
        study = optuna.load_study(
            study_name=settings.name,
            storage=self._cached,
            sampler=study_samplers.make_sampler(
                settings.sampler,
                settings.space,
                place.program,
                place.rank,
                settings.seed,
            ),
            pruner=self.study.pruner,  # TPE looks at settings of its bracket
        )
        values = study_samplers.suggest(
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
