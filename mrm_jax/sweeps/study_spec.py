"""The specification of a sweep, stored in its study and the same for all workers."""

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

# User attributes of the study. Existing studies hold these keys: do not rename them.
SPEC, TRIALS = "settings", "trials"
ADDED = ("patience",)  # values that studies of earlier versions do not have
CREATION_TIMEOUT_S = 10.0  # from creating a study to storing its specification


@dataclasses.dataclass(frozen=True)
class StudySpec:
    """A sweep. All its workers have the same, except that `trials` may be raised.

    Raises:
        ValueError: if a value is out of range or does not fit the others.
    """

    name: str  # name of the study in its storage
    space: Space
    trials: int  # number of trials, over all programs and workers
    num_epochs: int  # epochs of each trial, at most
    sampler: str = "tpe"  # one of samplers.SAMPLERS
    pruner: str = "hyperband"  # one of samplers.PRUNERS
    seed: int = 0  # seed of the sampler
    config: str = ""  # fingerprint of the base configuration and its data
    patience: int = 0  # epochs without a better one that end a trial; 0: never
    trials_flag: str = "--trials"  # which sets the number of trials, for messages

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
        """Returns how many trials there are to train if `trials` are requested."""
        return samplers.limit(self.sampler, self.space, trials)

    def facts(self) -> dict[str, Any]:
        """Returns the values that must be the same for all workers, as JSON types."""
        facts = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("name", "space", TRIALS, "trials_flag")
        }
        for name, distribution in self.space.distributions.items():
            facts[f"space.{name}"] = json.loads(distribution_to_json(distribution))
        return json.loads(json.dumps(facts))


def join(storage: BaseStorage, spec: StudySpec) -> optuna.Study:
    """Creates the study, or joins the existing one.

    Raises:
        ValueError: if the study was created for a different sweep; lists what differs.
    """
    common: dict[str, Any] = {
        "study_name": spec.name,
        "storage": storage,
        "pruner": samplers.make_pruner(spec.pruner, spec.num_epochs),
    }
    try:
        study = optuna.create_study(direction="maximize", **common)
        theirs = None
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(**common)
        theirs = _wait_for_spec(study)
    if theirs is None:
        study.set_user_attr(SPEC, spec.facts())
    else:
        _check_same(theirs, spec, study.user_attrs.get(TRIALS, 0))
    read_trials(study, spec)
    return study


def read_trials(study: optuna.Study, spec: StudySpec) -> int:
    """Returns the requested number of trials; raises the stored one to ours."""
    stored = study.user_attrs.get(TRIALS, 0)
    if stored < spec.trials:
        study.set_user_attr(TRIALS, spec.trials)
    return max(stored, spec.trials)


def _wait_for_spec(study: optuna.Study) -> dict[str, Any] | None:
    """Returns the stored specification, or None if its creator died before storing it.

    Raises:
        ValueError: if the study was not created by a sweep.
    """
    deadline = time.monotonic() + CREATION_TIMEOUT_S
    while time.monotonic() < deadline:
        found = study.user_attrs.get(SPEC)
        if found is not None:
            return found
        if study.get_trials(deepcopy=False):
            raise ValueError(
                f"The study {study.study_name!r} was not created by a sweep of "
                "mrm_jax. Pass another name with --study."
            )
        time.sleep(0.1)
    return None


def _check_same(theirs: Mapping[str, Any], spec: StudySpec, trials: int) -> None:
    unknown = set(ADDED) - theirs.keys()
    ours = {name: v for name, v in spec.facts().items() if name not in unknown}
    differing = [
        f"{name}: {theirs.get(name)!r} in the study, {ours.get(name)!r} here"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]
    if differing:
        raise ValueError(
            f"The study {spec.name!r} was created for a different sweep. Use the same "
            "values, or pass another name with --study. These values differ:\n  "
            + "\n  ".join(differing)
        )
    if spec.trials < trials:
        raise ValueError(
            f"{spec.trials_flag}: the study {spec.name!r} was given {trials} before, "
            f"and the number can only be raised. Pass {trials} or more, got "
            f"{spec.trials}."
        )
