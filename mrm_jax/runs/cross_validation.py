"""Cross-validation: ten runs, each tested on another fold.

Run k is tested on fold k, selects its epoch on the fold before it (fold 10 for k = 1)
and trains on the other eight. The folds of run 10 are the usual ones. Every record is
tested once, so the ten test folds together give the scores of all records.

The folder of a cross-validation holds

    fold01/ ... fold10/      the runs, as `python -m mrm_jax.train` writes them
    cross_validation.json    metrics of all folds together and of each; written last
    cross_validation.csv     one row per head and metric
    scores.npz               names, labels and scores of all records
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from mrm_jax.data import shards, splits
from mrm_jax.metrics import seeds, summary, thresholds
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import cross_validation as files
from mrm_jax.reports import run_report
from mrm_jax.runs import alike, experiment, result_folder, trained_run, transfer
from mrm_jax.runs import scores as scores_lib
from mrm_jax.runtime import console, preemption
from mrm_jax.training import metadata, run_spec

CommandOf = Callable[[int], str]
DESCRIBED = ("data_set", "data_set_version", "label_set")
# Values in which the runs may differ; the last four follow from the folds.
MAY_CHANGE = (
    "config.name",
    "config.data.shards",
    "config.data.resident_gib",
    "config.data.folds",
    "data.records",
    "data.mean_uv",
    "data.std_uv",
    "data.sha256",
)


def cross_validate(
    config: ml_collections.ConfigDict,
    workdir: Path,
    folds: Sequence[int] = splits.FOLDS,
    command_of: CommandOf = lambda fold: "",
    handler: preemption.PreemptionHandler | None = None,
    source: transfer.Source | None = None,
) -> dict[str, Any] | None:
    """Trains and tests the runs of a cross-validation, and pools their scores.

    Finished runs are not trained again, and an interrupted one is resumed.

    Args:
        config: configuration, whose data.folds are not set.
        workdir: folder of the cross-validation.
        folds: test folds of the runs to train, so that several machines can share them.
        command_of: test fold -> the command line that trains its run.
        handler: preemption handler. Default: the runs cannot be preempted.
        source: the first weights of each run. Default: those of config.init.run, if it
            names any.

    Returns:
        The content of cross_validation.json, or None if runs of other folds are still
        missing.

    Raises:
        ValueError: if the configuration is invalid, a fold has no records, or a folder
            holds another run.
        preemption.Preempted: if the command was preempted; a later call resumes it.
    """
    _check(config)
    for number, fold in enumerate(folds, 1):
        console.say(
            f"\ncross-validation, run {number} of {len(folds)}: test fold {fold}"
        )
        experiment.train_and_evaluate(
            with_test_fold(config, fold),
            folder_of(workdir, fold),
            command_of(fold),
            handler,
            source,
        )
    missing = [f for f in splits.FOLDS if not run_report.exists(folder_of(workdir, f))]
    if missing:
        listed = ", ".join(map(str, missing))
        console.say(f"still to train before the scores are pooled: test folds {listed}")
        return None
    return pool(workdir, shards.load(config.data.shards))


def folder_of(workdir: Path, fold: int) -> Path:
    """Returns the folder of the run that is tested on a fold."""
    return workdir / f"fold{fold:02d}"


def folders(workdir: Path) -> list[Path]:
    """Returns the folders of all runs, which need not exist."""
    return [folder_of(workdir, fold) for fold in splits.FOLDS]


def folds_of(test_fold: int) -> dict[str, tuple[int, ...]]:
    """Returns the validation and the test fold of a run."""
    before = splits.FOLDS[splits.FOLDS.index(test_fold) - 1]
    return {"val": (before,), "test": (test_fold,)}


def with_test_fold(
    config: ml_collections.ConfigDict, fold: int
) -> ml_collections.ConfigDict:
    """Returns the configuration of the run that is tested on a fold."""
    found = ml_collections.ConfigDict(config)
    for split, chosen in folds_of(fold).items():
        found.data.folds[split] = chosen
    return found.lock()


def pool(workdir: Path, data: shards.Shards | None = None) -> dict[str, Any]:
    """Evaluates the test scores of all ten runs together, and writes the results.

    Args:
        workdir: folder of a cross-validation whose runs are finished.
        data: the shards of the runs. Default: at their location during training.

    Returns:
        The content of cross_validation.json.

    Raises:
        ValueError: if a run is missing, damaged, of another configuration than the
            first one, or was trained on other shards.
    """
    runs = [trained_run.read(folder_of(workdir, fold)) for fold in splits.FOLDS]
    reports = [run_report.read(run.workdir) for run in runs]
    _check_alike(runs)
    test = _concatenated([run_report.read_scores(run.workdir) for run in runs])
    val = _concatenated(list(_val_scores(runs, data)))
    evaluated = summary.Evaluated(test, thresholds.choose(val), val=val)
    result = {
        "facts": _describe(runs, reports),
        "folds": seeds.summarise(
            [
                {"fold": fold, "epoch": run.epoch, "workdir": str(run.workdir)}
                for fold, run in zip(splits.FOLDS, runs, strict=True)
            ],
            [report["test"] for report in reports],
        ),
        "pooled": run_report.without_nan(
            summary.summarise(evaluated, runs[0].labels, runs[0].data["descriptions"])
        ),
    }
    with result_folder.replacing(workdir, files.JSON_FILE) as new:
        files.write(new, result, test)
    files.print_table(result, console.console())
    console.say(f"results: {workdir}")
    return result


def _check(config: ml_collections.ConfigDict) -> None:
    """Checks what would otherwise be found after hours.

    Raises:
        ValueError: if folds were chosen, or one has no records of the label set.
    """
    chosen = [name for name in splits.NAMES if config.data.folds[name] is not None]
    if chosen:
        raise ValueError(
            f"data.folds.{chosen[0]}: a cross-validation tests on every fold in turn. "
            "Leave out data.folds."
        )
    spec = run_spec.build_run_spec(config)
    empty = [fold for fold in splits.FOLDS if not _size(spec, fold)]
    if empty:
        raise ValueError(
            f"{spec.data.folder}: no record of fold {', '.join(map(str, empty))} has a "
            f"label of {spec.label_set}. A cross-validation needs records in all ten."
        )


def _describe(
    runs: Sequence[trained_run.TrainedRun], reports: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the metadata that is stored with the results."""
    facts = {
        name: runs[0].data[name]
        for name in ("data_set", "data_set_version", "label_set")
    }
    return {
        **facts,
        "split": "test",
        "records": sum(report["facts"]["records"]["test"] for report in reports),
        "selection": reports[0]["facts"].get("selection"),
        "config": runs[0].metadata["config"],
        "versions": metadata.versions(),
        "workdirs": [str(run.workdir.resolve()) for run in runs],
        "commands": [report["facts"]["command"] for report in reports],
    }


def _size(spec: run_spec.RunSpec, fold: int) -> int:
    in_fold = spec.data.rows_by_split(spec.label_set, {"fold": (fold,)})
    return len(in_fold["fold"])


def _check_alike(runs: Sequence[trained_run.TrainedRun]) -> None:
    """Checks that the runs differ in their folds only.

    Raises:
        ValueError: if they do not; names what differs.
    """
    alike.check(
        runs,
        MAY_CHANGE,
        "The runs of a cross-validation have to differ in their folds only. Train them "
        "with one command, in a new --workdir.",
    )


def _val_scores(
    runs: Sequence[trained_run.TrainedRun], data: shards.Shards | None
) -> Iterator[SplitScores]:
    for run in runs:
        records = scores_lib.open_data(run, data)
        if records.external is not None:
            raise ValueError(
                f"{records.spec.data.folder}: {run.workdir} was trained on other "
                "shards. Pass those of the run with `--data SHARDS`."
            )
        console.say(f"{run.workdir}: scoring val with epoch {run.epoch}")
        yield scores_lib.compute(run, records, "val")


def _concatenated(parts: Sequence[SplitScores]) -> SplitScores:
    """Returns the scores of all parts, one after another."""
    first = None
    if all(part.first_label is not None for part in parts):
        first = np.concatenate([part.first_label for part in parts])
    return SplitScores(
        np.concatenate([part.names for part in parts]),
        np.concatenate([part.labels for part in parts]),
        {
            branch: np.concatenate([part.branches[branch] for part in parts])
            for branch in parts[0].branches
        },
        first,
    )
