"""What trained runs are worth: one, several side by side, one setting's seeds."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax.metrics import bootstrap, classification, paired, seeds, thresholds
from mrm_jax.metrics import summary as summary_lib
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import comparison, heads, latex, seed_summary
from mrm_jax.runs import reporting
from mrm_jax.runs import scores as scores_lib
from mrm_jax.runtime import console, devices
from mrm_jax.training import checkpoints, metadata, metrics_log

FOLDER = "evaluations"


WHICH_DATA = ("data_set", "data_set_version", "label_set", "sha256")
MAX_NAMED = 8  # labels
MAX_NAME = 100  # characters of a folder's


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Which records runs are judged on, and how."""

    split: str = "test"
    shards_dir: str | None = None  # None: each run's own, where they were
    out: Path | None = None  # None: chosen by what is judged
    resamples: int = bootstrap.RESAMPLES
    seed: int = bootstrap.SEED  # of the resamples
    command: str = ""  # goes into the results, so that others can repeat it

    def folder(
        self,
        workdir: Path,
        other_data: Mapping[str, Any] | None = None,
        what: str = "",
        rewrites: bool = False,
    ) -> Path:
        """Returns where results go: into a run's own folder for its own report only.

        Args:
            workdir: of the run, or of the first of several.
            other_data: data facts, where they are not the run's.
            what: the end of the folder's name, where it is no report of one run.
            rewrites: whether the results are the run's own report.

        Raises:
            ValueError: if it would be a run's own folder otherwise.
        """
        if rewrites and self.out in (None, workdir):
            return workdir
        data = (
            ""
            if other_data is None
            else f"-{scores_lib.slug(scores_lib.name(other_data))}"
        )
        folder = self.out or workdir / FOLDER / f"{self.split}{data}{what}"
        if (folder / checkpoints.FOLDER).is_dir():
            raise ValueError(
                f"{folder}: holds a run, whose report would be lost; give another --out"
            )
        return folder


DEFAULT = EvaluationConfig()


def evaluate_run(workdir: Path, request: EvaluationConfig = DEFAULT) -> dict[str, Any]:
    """Scores records with a run's best epoch and writes a report of it.

    The run's own report is written anew where its own test fold is scored, and never
    otherwise.

    Args:
        workdir: of a run with at least one finished epoch.
        request: by default its own test fold.

    Returns:
        What report.json holds.

    Raises:
        ValueError: if there is no checkpoint, the shards do not fit the run, or the
            results would overwrite those of a run.
    """
    run = scores_lib.read(workdir)
    subject = scores_lib.open_subject(run, request.shards_dir)
    spec, other = subject.spec, subject.evaluated_on
    is_report = other is None and request.split == "test"
    folder = request.folder(workdir, other, rewrites=is_report)
    console.say(f"{spec.headline()}\nscored on {devices.describe()} -> {folder}")
    scores = subject.score(request.split)
    _say_undefined(run.labels, scores, request.split)
    val = None
    if other is None:
        val = scores if request.split == "val" else subject.score("val")
    evaluated = summary_lib.Evaluated(
        scores,
        run.thresholds if val is None else thresholds.choose(val),
        request.split,
        val,
        request.resamples,
        request.seed,
    )
    facts = reporting.facts(
        spec,
        run.epoch,
        run.epochs_trained,
        request.split,
        evaluated_on=other,
        evaluated_by=request.command,
    )
    if is_report and folder == workdir:
        report = reporting.write_own(folder, spec, facts, evaluated)
    else:
        history = metrics_log.read(workdir)
        report = reporting.write(folder, spec, facts, evaluated, history)
    reporting.show(report, folder)
    return report


def compare_runs(
    workdirs: Sequence[Path], request: EvaluationConfig = DEFAULT
) -> dict[str, Any]:
    """Compares runs on the same records, each later one with the first.

    Args:
        workdirs: of two runs or more.
        request: by default the test fold that all of them have.

    Returns:
        What comparison.json holds.

    Raises:
        ValueError: as `evaluate_run`, or if the records or labels differ.
    """
    console.say(
        f"comparing {len(workdirs)} runs on {request.split}, "
        f"{request.resamples:,} resamples"
    )
    runs = [scores_lib.read(workdir) for workdir in workdirs]
    scored = _score_all(runs, request)
    names = "-and-".join(path.absolute().name for path in workdirs[1:])
    folder = _folder_of_several(
        request, scored, f"-compared-with-{names}", comparison.JSON_FILE
    )
    result = {
        "facts": _facts(scored, request),
        **paired.compare(
            [_contender(of_run) for of_run in scored],
            request.resamples,
            request.seed,
            console.tracker("resampling"),
        ),
    }
    comparison.write(folder, result)
    latex.write_comparison(folder, result)
    comparison.print_tables(result, console.console())
    console.say(f"results: {folder}")
    return result


def summarise_seeds(
    workdirs: Sequence[Path], request: EvaluationConfig = DEFAULT
) -> dict[str, Any]:
    """Sums up runs that differ in their seed alone.

    Args:
        workdirs: of two runs or more.
        request: by default the test fold.

    Returns:
        What seeds.json holds.

    Raises:
        ValueError: as `evaluate_run`, or if the runs differ in more or in less.
    """
    console.say(f"summing up {len(workdirs)} runs on {request.split}")
    runs = [scores_lib.read(workdir) for workdir in workdirs]
    metadata.check_differ_in_seed([(run.workdir, run.facts) for run in runs])
    scored = _score_all(runs, request)
    folder = _folder_of_several(
        request, scored, f"-seeds-{len(scored)}", seed_summary.JSON_FILE
    )
    contenders = [_contender(of_run) for of_run in scored]
    summary = {
        "facts": _facts(scored, request),
        **seeds.summarise(
            [run.describe() for run in contenders],
            [paired.observe(run) for run in contenders],
        ),
    }
    seed_summary.write(folder, summary)
    latex.write_seeds(folder, summary)
    seed_summary.print_table(summary, console.console())
    console.say(f"results: {folder}")
    return summary


def _score_all(
    runs: Sequence[scores_lib.SavedRun], request: EvaluationConfig
) -> list[scores_lib.ScoredRun]:
    scored = [scores_lib.score(run, request.split, request.shards_dir) for run in runs]
    _say_undefined(scored[0].run.labels, scored[0].scores, request.split)
    return scored


def _contender(scored: scores_lib.ScoredRun) -> paired.Contender:
    run = scored.run
    return paired.Contender(
        name=str(run.workdir),
        facts={
            "seed": run.facts["config"]["seed"],
            "epoch": run.epoch,
            "command": run.facts["command"],
            "untrained": list(heads.untrained(run.facts)),
        },
        labels=run.labels,
        scores=scored.scores,
        thresholds={h: chosen.overall for h, chosen in run.thresholds.items()},
    )


def _facts(
    scored: Sequence[scores_lib.ScoredRun], request: EvaluationConfig
) -> dict[str, Any]:
    """Returns what results say of the runs and the records on which they are judged."""
    first = scored[0]
    return {
        **{name: v for name, v in first.data.items() if name in WHICH_DATA},
        "split": request.split,
        "records": len(first.scores.names),
        "is_own_data": first.is_own,
        "workdirs": _workdirs(scored),
        "versions": metadata.versions(),
        "command": request.command,
    }


def _folder_of_several(
    request: EvaluationConfig,
    scored: Sequence[scores_lib.ScoredRun],
    what: str,
    file: str,
) -> Path:
    """Returns where results of several runs go.

    Raises:
        ValueError: if results of other runs lie there.
    """
    first = scored[0]
    other = None if first.is_own else first.data
    folder = request.folder(first.run.workdir, other, what[:MAX_NAME])
    if request.out is None and (folder / file).is_file():
        kept = json.loads((folder / file).read_text())["facts"]["workdirs"]
        if kept != _workdirs(scored):
            raise ValueError(
                f"{folder / file}: of other runs, {', '.join(kept)}; give another "
                "folder with --out"
            )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _workdirs(scored: Sequence[scores_lib.ScoredRun]) -> list[str]:
    return [str(of_run.run.workdir.resolve()) for of_run in scored]


def _say_undefined(labels: Sequence[str], scores: SplitScores, split: str) -> None:
    """Says which labels have no AUC, and are left out of the means over labels."""
    defined = classification.has_both_classes(scores.labels)
    lacking = [label for label, is_ok in zip(labels, defined, strict=True) if not is_ok]
    if lacking:
        more = ", ..." if len(lacking) > MAX_NAMED else ""
        console.say(
            f"left out of the macro means: {len(lacking)} of {len(labels)} labels, as "
            f"all or none of the {len(scores.names):,} {split} records have them: "
            f"{', '.join(lacking[:MAX_NAMED])}{more}"
        )
