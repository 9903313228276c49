"""A process's hand on trials: takes them, marks them, and ends those that it owns.

Optuna's storages change the state of a trial atomically and only while it is not
finished; all that is exact here rests on that.
"""

import math
import uuid
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mrm_jax.tuning import study_places, study_storage


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
        self._set(trial_id, {study_places.TAKER: self._name[0]})
        study_storage.beat(self._storage, trial_id)
        return self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)

    def mark(self, place: study_places.Place) -> None:
        """Makes the running trial of a place this process's own."""
        trial = place.trial
        claims = [*trial.user_attrs.get(study_places.CLAIMS, []), place.epoch]
        marks = {study_places.OWNER: self._name, study_places.CLAIMS: claims}
        self._set(trial._trial_id, marks)
        study_storage.beat(self._storage, trial._trial_id)

    def runs(self, trial: FrozenTrial, worker: str | None = None) -> bool:
        """Returns whether a trial runs on a worker, by default on its own."""
        name = worker or self._name[0]
        running = trial.state == TrialState.RUNNING
        return running and study_places.worker(trial) == name

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
                self._set(trial_id, {study_places.DIVERGED: epoch})
            except UpdateFinishedTrialError:
                pass
        return self.end(trial_id, TrialState.PRUNED, None)

    def fail(self, trial: FrozenTrial, claims: list[int]) -> None:
        """Fails a running trial, whoever runs it, so that another one follows."""
        try:
            self._set(trial._trial_id, {study_places.CLAIMS: claims})
            self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            pass  # it ended, or others did the same

    def _marked(self, trial: FrozenTrial) -> bool:
        return trial.user_attrs.get(study_places.OWNER) == self._name

    def _set(self, trial_id: int, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, name, value)
