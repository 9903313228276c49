"""Evaluates trained runs: one run, several side by side, or several seeds of one.

Results go to a folder below the run, `evaluations/SPLIT...`, unless they are the run's
own report of its test fold.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax.data import shards
from mrm_jax.metrics import bootstrap, paired, seeds, thresholds
from mrm_jax.metrics import summary as summary_lib
from mrm_jax.reports import comparison, heads, latex, seed_summary
from mrm_jax.runs import (
    alike,
    cross_validation,
    label_mapping,
    reporting,
    result_folder,
    trained_run,
)
from mrm_jax.runs import scores as scores_lib
from mrm_jax.runs.trained_run import TrainedRun
from mrm_jax.runtime import console, devices, locks, progress, text
from mrm_jax.training import checkpoints, metadata, metrics_log

FOLDER = "evaluations"
DATA_KEYS = ("data_set", "data_set_version", "label_set", "sha256")
MAX_NAME, MAX_BYTES = 100, 200  # letters of a folder's end; bytes of its whole name


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """The records on which runs are evaluated, and how."""

    split: str = "test"
    data: str | None = None  # folder of shards; None: each run's own
    out: Path | None = None  # None: a folder below the run, see `folder`
    resamples: int = bootstrap.RESAMPLES
    seed: int = bootstrap.SEED  # seed of the resamples
    command: str = ""  # command line, stored in the results
    map_labels: bool = False  # whether labels of the same meaning are compared
    label_map: Path | None = None  # CSV file; None: by SNOMED CT codes

    def open_data(self) -> shards.Shards | None:
        """Opens the shards that `data` names, if it names any.

        Raises:
            ValueError: if the shards are missing or damaged.
        """
        return None if self.data is None else shards.load(self.data)

    def folder(
        self,
        workdir: Path,
        external: Mapping[str, Any] | None = None,
        suffix: str = "",
        is_report: bool = False,
    ) -> Path:
        """Returns the folder for the results.

        Args:
            workdir: folder of the run, or of the first of several.
            external: the data set that was scored, if it is not the run's own.
            suffix: end of the folder's name, for results of several runs.
            is_report: whether the results are the run's own report.

        Raises:
            ValueError: if the folder holds a run and the results are not its report, or
                a cross-validation.
        """
        if is_report and self.out in (None, workdir):
            return workdir
        data = "" if external is None else f"-{scores_lib.slug_of(external)}"
        name = text.shortened(f"{self.split}{data}{suffix}", MAX_BYTES)
        folder = self.out or workdir / FOLDER / name
        if any(path.is_dir() for path in cross_validation.folders(folder)):
            raise ValueError(
                f"{folder}: this folder holds a cross-validation, whose scores would "
                "be lost. Pass another folder with `--out`."
            )
        if (folder / checkpoints.FOLDER).is_dir():
            raise ValueError(
                f"{folder}: this folder holds a run, whose report would be lost. Pass "
                "another folder with `--out`."
            )
        return folder


DEFAULT = EvaluationConfig()


def evaluate_run(workdir: Path, config: EvaluationConfig = DEFAULT) -> dict[str, Any]:
    """Scores records with a run's best epoch and writes a report.

    If the records are the run's own test fold, the run's own report is rewritten.

    Args:
        workdir: folder of a run with a finished epoch.
        config: records to evaluate. Default: the run's own test fold.

    Returns:
        The content of report.json.

    Raises:
        ValueError: if there is no checkpoint, the shards do not fit the run, or the
            results would overwrite those of a run or of other data.
    """
    (run,) = _read([workdir], config)
    data, label_map = config.open_data(), None
    if config.map_labels:
        mapped = label_mapping.reduce(run, data, config.label_map)
        run, data, label_map = mapped.run, mapped.data, mapped.labels
    records = scores_lib.open_data(run, data)
    spec, external = records.spec, records.external
    is_report = external is None and config.split == "test"
    suffix = "" if label_map is None else "-mapped"
    folder = config.folder(workdir, external, suffix, is_report=is_report)
    if external is not None and config.out is None:
        reporting.check_same_data(folder, external)
    console.say(f"{spec.headline()}\nscored on {devices.describe()} -> {folder}")
    with locks.writing(folder):
        history = metrics_log.read(workdir)  # before the work, as it may be damaged
        evaluated = _evaluate(run, records, config)
        how = {"evaluated_on": external, "evaluated_by": config.command}
        if external is not None:
            how["thresholds_are"] = run.thresholds_are
        described = reporting.describe(
            spec, run.epoch, run.epochs_trained, config.split, **how
        )
        if is_report and folder == workdir:
            report = reporting.write_own(folder, spec, described, evaluated)
        else:
            report = reporting.write(folder, spec, described, evaluated, history)
            label_mapping.write(folder, label_map)
    reporting.show(report, folder)
    return report


def _evaluate(
    run: TrainedRun, records: scores_lib.EvaluationData, config: EvaluationConfig
) -> summary_lib.Evaluated:
    """Scores a split and, if the data set is the run's own, chooses thresholds."""
    scores = scores_lib.compute(run, records, config.split)
    scores_lib.say_undefined(run.labels, scores, config.split)
    val = None
    if records.external is None:
        is_val = config.split == "val"
        val = scores if is_val else scores_lib.compute(run, records, "val")
    return summary_lib.Evaluated(
        scores,
        run.thresholds if val is None else thresholds.choose(val),
        config.split,
        val,
        config.resamples,
        config.seed,
    )


def compare_runs(
    workdirs: Sequence[Path], config: EvaluationConfig = DEFAULT
) -> dict[str, Any]:
    """Compares each later run with the first, on the same records.

    Args:
        workdirs: folders of two runs or more.
        config: records to evaluate. Default: the test fold of the runs.

    Returns:
        The content of comparison.json.

    Raises:
        ValueError: as in `evaluate_run`, or if the records or labels differ.
    """
    console.say(
        f"comparing {len(workdirs)} runs on {config.split}, "
        f"{config.resamples:,} resamples"
    )
    runs = _read(workdirs, config)
    scored = _score_all(runs, config)
    names = "-and-".join(path.absolute().name for path in workdirs[1:])
    folder = _folder_of_several(
        config, runs, scored[0], f"-compared-with-{names}", comparison.JSON_FILE
    )
    result = {
        "facts": _describe(runs, scored[0], config),
        **paired.compare(
            _contenders(runs, scored),
            config.resamples,
            config.seed,
            progress.tracker("resampling"),
        ),
    }
    with result_folder.replacing(folder, comparison.JSON_FILE) as new:
        comparison.write(new, result)
        latex.write_comparison(new, result)
    comparison.print_tables(result, console.console())
    console.say(f"results: {folder}")
    return result


def summarise_seeds(
    workdirs: Sequence[Path], config: EvaluationConfig = DEFAULT
) -> dict[str, Any]:
    """Summarises runs that differ only in their seed.

    Args:
        workdirs: folders of two runs or more.
        config: records to evaluate. Default: the test fold of the runs.

    Returns:
        The content of seeds.json.

    Raises:
        ValueError: as in `evaluate_run`, or if not exactly the seeds differ.
    """
    console.say(f"summarising {len(workdirs)} runs on {config.split}")
    runs = _read(workdirs, config)
    alike.check_seeds(runs)
    scored = _score_all(runs, config)
    folder = _folder_of_several(
        config, runs, scored[0], f"-seeds-{len(runs)}", seed_summary.JSON_FILE
    )
    contenders = _contenders(runs, scored)
    summary = {
        "facts": _describe(runs, scored[0], config),
        **seeds.summarise(
            [contender.describe() for contender in contenders],
            [paired.observe(contender) for contender in contenders],
        ),
    }
    with result_folder.replacing(folder, seed_summary.JSON_FILE) as new:
        seed_summary.write(new, summary)
        latex.write_seeds(new, summary)
    seed_summary.print_table(summary, console.console())
    console.say(f"results: {folder}")
    return summary


def _read(workdirs: Sequence[Path], config: EvaluationConfig) -> list[TrainedRun]:
    """Reads runs, of which the first holds the results unless `config.out` is given."""
    runs = [trained_run.read(workdir) for workdir in workdirs]
    if config.out is None:
        runs[0].require_folder("--out")
    return runs


def _score_all(
    runs: Sequence[TrainedRun], config: EvaluationConfig
) -> list[scores_lib.ScoredSplit]:
    if config.map_labels:
        raise ValueError(
            "`--map_labels` evaluates one run at a time. Leave out the other runs."
        )
    config.folder(runs[0].workdir)  # before the work
    data = config.open_data()
    scored = [scores_lib.score(run, config.split, data) for run in runs]
    scores_lib.say_undefined(runs[0].labels, scored[0].scores, config.split)
    return scored


def _contenders(
    runs: Sequence[TrainedRun], scored: Sequence[scores_lib.ScoredSplit]
) -> list[paired.Contender]:
    """Returns the contenders for `metrics.paired`: runs and their scores."""
    return [
        paired.Contender(
            name=str(run.workdir),
            facts={
                "seed": run.metadata["config"]["seed"],
                "epoch": run.epoch,
                "command": run.metadata["command"],
                "untrained": list(heads.untrained(run.metadata)),
            },
            labels=run.labels,
            scores=split.scores,
            thresholds={h: chosen.overall for h, chosen in run.thresholds.items()},
        )
        for run, split in zip(runs, scored, strict=True)
    ]


def _describe(
    runs: Sequence[TrainedRun], first: scores_lib.ScoredSplit, config: EvaluationConfig
) -> dict[str, Any]:
    """Returns the metadata that is stored with results of several runs."""
    return {
        **{key: value for key, value in first.data.items() if key in DATA_KEYS},
        "split": config.split,
        "records": len(first.scores.names),
        "is_own_data": first.is_own,
        "workdirs": _workdirs(runs),
        "versions": metadata.versions(),
        "command": config.command,
    }


def _folder_of_several(
    config: EvaluationConfig,
    runs: Sequence[TrainedRun],
    first: scores_lib.ScoredSplit,
    suffix: str,
    file: str,
) -> Path:
    """Returns the folder for the results of several runs.

    Raises:
        ValueError: if the folder holds other results.
    """
    external = None if first.is_own else first.data
    folder = config.folder(runs[0].workdir, external, suffix[:MAX_NAME])
    if config.out is None:
        result_folder.check_same(folder / file, _workdirs(runs), first.data["sha256"])
    return folder


def _workdirs(runs: Sequence[TrainedRun]) -> list[str]:
    return [str(run.workdir.resolve()) for run in runs]
