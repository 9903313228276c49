"""A trained run before the records that it is judged on, its own or others."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax.data import manifest, shards
from mrm_jax.metrics import thresholds
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import run_report, thresholds_file
from mrm_jax.runtime import console, devices, preemption
from mrm_jax.training import checkpoints, metadata, run_spec, scoring, train_state

# Without these a signal is not what the network was trained on.
INPUT_FACTS = ("leads", "unit", "sampling_rate", "num_samples")


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """What a run's checkpoints say of its best epoch, without its weights."""

    workdir: Path
    epoch: int
    epochs_trained: int
    thresholds: Mapping[str, thresholds.Thresholds]  # by head
    facts: dict[str, Any]  # config, data, versions, metrics, ...

    @property
    def data(self) -> dict[str, Any]:
        """What the network expects, by metadata.DATA_FACTS; None is unknown."""
        return self.facts["data"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the outputs, in their order."""
        return tuple(self.data["labels"])


def read(workdir: Path) -> SavedRun:
    """Returns a run as it was saved.

    Raises:
        ValueError: if there is no checkpoint.
    """
    with checkpoints.open_existing(workdir) as manager:
        epoch = manager.best_step()
        facts = checkpoints.read_facts(manager, epoch)
        trained = manager.latest_step()
    if facts["data"]["sha256"] is None and run_report.exists(workdir):
        reported = run_report.read(workdir)["facts"]
        own = {name: reported[name] for name in metadata.DATA_FACTS}
        facts = facts | {"data": own}
    chosen = thresholds_file.read(
        workdir, facts["data"]["labels"], facts["metrics"], epoch
    )
    return SavedRun(workdir, epoch, trained, chosen, facts)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A run and a folder of shards."""

    run: SavedRun
    spec: run_spec.RunSpec  # its data are those shards, its facts those of the run
    evaluated_on: dict[str, Any] | None  # the shards' facts; None: they are its own

    def score(self, split: str) -> SplitScores:
        """Returns the best epoch's scores of a split.

        Raises:
            ValueError: if no record of the split has a label of the label set.
        """
        return scoring.score(
            self.spec, self._state, split, preemption.PreemptionHandler()
        )

    @functools.cached_property
    def _state(self) -> train_state.TrainState:
        like = train_state.shapes(self.spec.model)
        with checkpoints.open_existing(self.run.workdir) as manager:
            state = checkpoints.restore(manager, self.run.epoch, like)
        return devices.replicate(state)


def open_subject(run: SavedRun, shards_dir: str | None = None) -> Subject:
    """Returns a run with the shards that it is judged on.

    Other shards than its own are standardised by its own mean and standard deviation.
    Weights that came without data take the first shards as their own: those that their
    report is of.

    Args:
        run: its best epoch is judged.
        shards_dir: default: its own, where they were at training.

    Raises:
        ValueError: if the shards are not there, or their signals or labels are not
            what the network expects.
    """
    if shards_dir is not None:
        _check_input(shards.load(shards_dir).manifest, run, shards_dir)
    spec = run_spec.plan_again(run.facts, shards_dir)
    found = spec.facts["data"]
    if run.data["sha256"] in (None, found["sha256"]):
        return Subject(run, spec, None)
    if shards_dir is None:
        raise ValueError(
            f"{spec.data.folder}: no longer the shards that {run.workdir} was trained "
            f"on (data.sha256: {run.data['sha256']} then, {found['sha256']} now); name "
            "those with --data, or these, to score them as other data"
        )
    console.say(
        f"other data than trained on: {name(found)}; standardiser and "
        f"thresholds are those of {name(run.data)}, of {run.workdir}"
    )
    facts = spec.facts | {"data": run.data, "config": run.facts["config"]}
    seen = _standardised(spec, run.data)
    return Subject(run, dataclasses.replace(spec, data=seen, facts=facts), found)


def _check_input(found: manifest.Manifest, run: SavedRun, shards_dir: str) -> None:
    """Refuses signals that are not what the network expects; None is unknown."""
    expected = {n: run.data[n] for n in INPUT_FACTS if run.data[n] is not None}
    said = {name: getattr(found, name) for name in expected}
    said |= {name: list(v) for name, v in said.items() if isinstance(v, tuple)}
    differing = [
        f"{name}: {value} expected, {said[name]} found"
        for name, value in expected.items()
        if said[name] != value
    ]
    if differing:
        raise ValueError(
            f"{shards_dir}: not the input of the network of {run.workdir}; prepare "
            "these data as those that it was trained on:\n  " + "\n  ".join(differing)
        )


def _standardised(spec: run_spec.RunSpec, facts: Mapping[str, Any]) -> shards.Shards:
    """Returns the plan's shards with the mean and deviation of a run's own."""
    told = spec.data.manifest
    moments = {name: facts[name] for name in ("mean_uv", "std_uv")}
    label_set = dataclasses.replace(told.label_sets[spec.label_set], **moments)
    changed = told.label_sets | {spec.label_set: label_set}
    return shards.Shards(
        spec.data.folder, dataclasses.replace(told, label_sets=changed)
    )


@dataclasses.dataclass(frozen=True)
class ScoredRun:
    """A run's scores of a split, with what was scored."""

    run: SavedRun
    scores: SplitScores
    data: Mapping[str, Any]  # metadata.DATA_FACTS of the records
    is_own: bool  # the data are those that it was trained on


def score(run: SavedRun, split: str, shards_dir: str | None = None) -> ScoredRun:
    """Returns the scores of a run's best epoch, those of its report where they are.

    Args:
        run: its best epoch is scored.
        split: train, val or test.
        shards_dir: as for `open_subject`.

    Raises:
        ValueError: as `open_subject` and `Subject.score`.
    """
    if split == "test" and shards_dir is None:
        stored = read_stored(run)
        if stored is not None:
            console.say(
                f"{run.workdir}: test scores of epoch {run.epoch}, from its report"
            )
            return stored
    subject = open_subject(run, shards_dir)
    console.say(f"{run.workdir}: scoring {split} with epoch {run.epoch}")
    is_own = subject.evaluated_on is None
    data = subject.evaluated_on or subject.spec.facts["data"]
    return ScoredRun(run, subject.score(split), data, is_own)


def read_stored(run: SavedRun) -> ScoredRun | None:
    """Returns the scores of the test fold that a run's report left, or None.

    They count where they are of the best epoch there is now and of the run's own data.
    """
    path = run.workdir / run_report.SCORES_FILE
    if not path.is_file() or not run_report.exists(run.workdir):
        return None
    facts = run_report.read(run.workdir)["facts"]
    same_data = run.data["sha256"] in (None, facts["sha256"])
    if facts["epoch"] != run.epoch or not same_data:
        return None
    with np.load(path, allow_pickle=False) as stored:
        names = ("names", "labels", "high", "low", "first_label")
        scores = SplitScores(**{n: stored[n] for n in names if n in stored})
    data = {name: facts[name] for name in metadata.DATA_FACTS}
    return ScoredRun(run, scores, data, is_own=True)


def name(data: Mapping[str, Any]) -> str:
    """Returns data set and version of data facts."""
    return f"{data['data_set']} {data['data_set_version']}"


def slug(text: str) -> str:
    """Returns text as the name of a folder: small letters, digits, dots, dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
