"""What the workers of a sweep must agree on: stored in the study by its maker."""

import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage

from mrm_jax.sweeps import samplers
from mrm_jax.sweeps.search_space import Space

SETTINGS, TRIALS = "settings", "trials"  # attributes of the study
MAKER_S = 10.0  # between making a study and storing its settings, at most


@dataclasses.dataclass(frozen=True)
class Settings:
    """A sweep; all its workers have the same, but for trials, which may be raised.

    Raises:
        ValueError: if a value is out of range or does not fit the others.
    """

    name: str  # of the study in its storage
    space: Space
    trials: int  # settings to train, over all programs and workers
    num_epochs: int  # of each
    sampler: str = "tpe"  # one of samplers.SAMPLERS
    pruner: str = "hyperband"  # one of samplers.PRUNERS
    seed: int = 0  # of the sampler
    config: str = ""  # tells this base configuration and its data from others

    def __post_init__(self) -> None:
        """Checks the values."""
        samplers.check(self.sampler, self.space)
        samplers.make_pruner(self.pruner, self.num_epochs)
        if self.num_epochs < 1:
            raise ValueError(f"num_epochs: expected 1 or more, got {self.num_epochs}")
        if self.trials < len(self.space.programs):
            raise ValueError(
                f"trials: expected at least {len(self.space.programs)}, one for each "
                f"program of the space, got {self.trials}"
            )

    def total(self, trials: int) -> int:
        """Returns how many settings there are to train, if `trials` were asked for."""
        return samplers.limit(self.sampler, self.space, trials)

    def facts(self) -> dict[str, Any]:
        """Returns what must be the same everywhere, as JSON reads it back."""
        facts = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("name", "space", TRIALS)
        }
        for name, distribution in self.space.distributions.items():
            facts[f"space.{name}"] = json.loads(distribution_to_json(distribution))
        return json.loads(json.dumps(facts))


def join(storage: BaseStorage, settings: Settings) -> optuna.Study:
    """Makes the study, or joins the one that is there.

    Raises:
        ValueError: if it has other settings; lists them.
    """
    common: dict[str, Any] = {
        "study_name": settings.name,
        "storage": storage,
        "pruner": samplers.make_pruner(settings.pruner, settings.num_epochs),
    }
    try:
        study = optuna.create_study(direction="maximize", **common)
        theirs = None
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(**common)
        theirs = _wait_for_settings(study)
    if theirs is None:
        study.set_user_attr(SETTINGS, settings.facts())
    else:
        _check_same(theirs, settings, study.user_attrs.get(TRIALS, 0))
    read_trials(study, settings)
    return study


def read_trials(study: optuna.Study, settings: Settings) -> int:
    """Returns how many settings were asked for; raises the study's number to ours."""
    stored = study.user_attrs.get(TRIALS, 0)
    if stored < settings.trials:
        study.set_user_attr(TRIALS, settings.trials)
    return max(stored, settings.trials)


def _wait_for_settings(study: optuna.Study) -> dict[str, Any] | None:
    """Returns the settings; None where the maker of the study died before storing them.

    Raises:
        ValueError: if it is no study of a sweep.
    """
    deadline = time.monotonic() + MAKER_S
    while time.monotonic() < deadline:
        found = study.user_attrs.get(SETTINGS)
        if found is not None:
            return found
        if study.get_trials(deepcopy=False):
            raise ValueError(
                f"study {study.study_name!r} was not made by a sweep; give another name"
            )
        time.sleep(0.1)
    return None


def _check_same(theirs: Mapping[str, Any], settings: Settings, trials: int) -> None:
    ours = settings.facts()
    differing = [
        f"{name}: {theirs.get(name)!r} there, {ours.get(name)!r} here"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]
    if settings.trials < trials:
        differing.append(f"trials: {trials} there, {settings.trials} here (only more)")
    if differing:
        raise ValueError(
            f"study {settings.name!r} has other settings; join it with its own, or "
            "start another sweep:\n  " + "\n  ".join(differing)
        )
