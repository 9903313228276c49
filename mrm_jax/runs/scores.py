"""Scores of a trained run on a split of its own or of external data."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mrm_jax.data import derived_shards, manifest, shards, splits
from mrm_jax.metrics import classification
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import run_report
from mrm_jax.runs import trained_run
from mrm_jax.runtime import console, devices, preemption
from mrm_jax.training import metadata, run_spec, scoring

MAX_NAMED = 8  # labels
# If one of these differs, the network was trained on another kind of input.
INPUT_KEYS = ("leads", "unit", "sampling_rate", "num_samples")


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """The shards on which a run is evaluated."""

    spec: run_spec.RunSpec  # of the run, but with these shards
    external: dict[str, Any] | None  # by DATA_KEYS; None: the run's own data set

    @property
    def described(self) -> dict[str, Any]:
        """The data set of the shards, by DATA_KEYS."""
        return self.external or self.spec.metadata["data"]


@dataclasses.dataclass(frozen=True)
class ScoredSplit:
    """Scores of a split, and the data set that it belongs to."""

    scores: SplitScores
    data: Mapping[str, Any]  # by DATA_KEYS
    is_own: bool  # whether the run was trained on this data set


def open_data(
    run: trained_run.TrainedRun, data: shards.Shards | None = None
) -> EvaluationData:
    """Returns the shards on which a run is evaluated.

    External data are normalised with the mean and standard deviation of the run's own
    data set. A run that was imported without its data set adopts the shards as its own.

    Args:
        run: a trained run.
        data: shards to score. Default: the run's own shards, at their location during
            training.

    Raises:
        ValueError: if the shards are missing, or if their signals or labels are not
            those that the network expects.
    """
    if data is not None:
        _check_input(data.manifest, run, data)
    spec = run_spec.RunSpec.from_checkpoint(run.metadata, data)
    found = spec.metadata["data"]
    if run.data["sha256"] is None:
        return EvaluationData(spec, None)
    if run.data["sha256"] == found["sha256"]:
        return EvaluationData(_standardised(spec, run), None)
    if data is None:
        raise ValueError(
            f"{spec.data.folder}: these are no longer the shards that {run.workdir} "
            f"was trained on (data.sha256 was {run.data['sha256']} and is "
            f"{found['sha256']} now). Pass the shards of the run with `--data SHARDS`, "
            "or pass these to score them as external data."
        )
    # The folds that the run was trained on are those of its own data set.
    spec = run_spec.RunSpec.from_checkpoint(run.metadata, data, own_folds=False)
    found = spec.metadata["data"]
    console.say(
        f"external data: {name(found)}. Normalisation statistics and thresholds are "
        f"those of {name(run.data)}, from {run.workdir}."
    )
    saved = spec.metadata | {"data": run.data, "config": run.metadata["config"]}
    return EvaluationData(
        dataclasses.replace(_standardised(spec, run), metadata=saved), found
    )


def compute(
    run: trained_run.TrainedRun, records: EvaluationData, split: str
) -> SplitScores:
    """Scores every record of a split with a run.

    Raises:
        ValueError: if no record of the split has a label of the label set, or if all
            records of the run's own data are asked for.
    """
    if split == splits.ALL and records.external is None:
        raise ValueError(
            f"{run.workdir} was trained on a part of these records. Choose `--split "
            "test`, or other data with `--data SHARDS`."
        )
    scoring.mapped(records.spec.model).load_ahead()  # while the weights are read
    state = devices.replicate(run.state)
    return scoring.score(records.spec, state, split, preemption.PreemptionHandler())


def score(
    run: trained_run.TrainedRun, split: str, data: shards.Shards | None = None
) -> ScoredSplit:
    """Returns the scores of a split, from the run's report if it has them.

    Args:
        run: a trained run.
        split: "train", "val" or "test".
        data: as in `open_data`.

    Raises:
        ValueError: as in `open_data` and `compute`.
    """
    if split == "test" and data is None:
        stored = read_stored(run)
        if stored is not None:
            console.say(
                f"{run.workdir}: test scores of epoch {run.epoch}, from its report"
            )
            return stored
    records = open_data(run, data)
    console.say(f"{run.workdir}: scoring {split} with epoch {run.epoch}")
    scores = compute(run, records, split)
    return ScoredSplit(scores, records.described, is_own=records.external is None)


def read_stored(run: trained_run.TrainedRun) -> ScoredSplit | None:
    """Returns the scores of the test fold that are stored with a run's report, or None.

    They are valid if they belong to the epoch of `run` and to the run's own data set.

    Raises:
        ValueError: if the report or the scores are damaged.
    """
    path = run.workdir / run_report.SCORES_FILE
    if not path.is_file() or not run_report.exists(run.workdir):
        return None
    facts = run_report.read(run.workdir)["facts"]
    same_data = run.data["sha256"] in (None, facts["sha256"])
    if facts["epoch"] != run.epoch or not same_data:
        return None
    scores = run_report.read_scores(run.workdir)
    data = {key: facts[key] for key in metadata.DATA_KEYS}
    return ScoredSplit(scores, data, is_own=True)


def name(data: Mapping[str, Any]) -> str:
    """Returns the name and the version of a data set."""
    return f"{data['data_set']} {data['data_set_version']}"


def say_undefined(labels: Sequence[str], scores: SplitScores, split: str) -> None:
    """Prints the labels without an AUC, which the means over labels omit."""
    defined = classification.has_both_classes(scores.labels)
    lacking = [label for label, is_ok in zip(labels, defined, strict=True) if not is_ok]
    if lacking:
        more = ", ..." if len(lacking) > MAX_NAMED else ""
        console.say(
            f"omitted from macro means: {len(lacking)} of {len(labels)} labels, since "
            f"all or none of the {len(scores.names):,} {split} records have them: "
            f"{', '.join(lacking[:MAX_NAMED])}{more}"
        )


def slug_of(data: Mapping[str, Any]) -> str:
    """Returns the name of a data set as part of a folder's name.

    It has lower-case letters, digits, dots and dashes.
    """
    return re.sub(r"[^a-z0-9.]+", "-", name(data).lower()).strip("-")


def _check_input(
    found: manifest.Manifest, run: trained_run.TrainedRun, data: shards.Shards
) -> None:
    """Checks that the network expects such signals; None is unknown and skipped."""
    expected = {n: run.data[n] for n in INPUT_KEYS if run.data[n] is not None}
    there = {name: getattr(found, name) for name in expected}
    if set(expected.get("leads", ())) <= set(found.leads):  # they are selected
        there["leads"] = expected.get("leads")
    differing = [
        f"{name}: {value} expected, {there[name]} found"
        for name, value in expected.items()
        if there[name] != value
    ]
    if differing:
        raise ValueError(
            f"{data.folder}: these shards are not the input that the network of "
            f"{run.workdir} expects. Prepare the data as its own were prepared:\n  "
            + "\n  ".join(differing)
        )


def _standardised(
    spec: run_spec.RunSpec, run: trained_run.TrainedRun
) -> run_spec.RunSpec:
    """Returns spec with the mean and standard deviation that the run was trained with.

    They are those of its own data set or, after `init.statistics=run`, of the run that
    it started from.
    """
    mean_std = {key: run.data[key] for key in ("mean_uv", "std_uv")}
    return dataclasses.replace(
        spec,
        data=derived_shards.with_mean_std(spec.data, spec.label_set, **mean_std),
        metadata=spec.metadata | {"data": spec.metadata["data"] | mean_std},
    )
