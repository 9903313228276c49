"""What trained runs are worth: one, several side by side, one setting's seeds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrm_jax import evaluation_request as requests
from mrm_jax import (
    metric_writer,
    metrics,
    parallel,
    reporting,
    run_facts,
    run_scores,
    terminal,
    thresholds,
    types,
)
from mrm_jax.report import comparison, latex, measures, paired, seeds, shown_head

WHICH_DATA = ("data_set", "data_set_version", "label_set", "sha256")
MAX_NAMED = 8  # labels
MAX_NAME = 100  # characters of a folder's
DEFAULT = requests.Request()


def evaluate_run(workdir: Path, request: requests.Request = DEFAULT) -> dict[str, Any]:
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
    run = run_scores.read(workdir)
    subject = run_scores.open_subject(run, request.shards_dir)
    plan, other = subject.plan, subject.evaluated_on
    is_report = other is None and request.split == "test"
    folder = request.folder(workdir, other, rewrites=is_report)
    terminal.say(f"{plan.headline()}\nscored on {parallel.describe()} -> {folder}")
    scores = subject.score(request.split)
    _say_undefined(run.labels, scores, request.split)
    val = None
    if other is None:
        val = scores if request.split == "val" else subject.score("val")
    evaluated = measures.Evaluated(
        scores,
        run.thresholds if val is None else thresholds.choose(val),
        request.split,
        val,
        request.resamples,
        request.seed,
    )
    facts = reporting.facts(
        plan,
        run.epoch,
        run.epochs_trained,
        request.split,
        evaluated_on=other,
        evaluated_by=request.command,
    )
    if is_report and folder == workdir:
        report = reporting.write_own(folder, plan, facts, evaluated)
    else:
        history = metric_writer.read(workdir)
        report = reporting.write(folder, plan, facts, evaluated, history)
    reporting.show(report, folder)
    return report


def compare_runs(
    workdirs: Sequence[Path], request: requests.Request = DEFAULT
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
    terminal.say(
        f"comparing {len(workdirs)} runs on {request.split}, "
        f"{request.resamples:,} resamples"
    )
    runs = [run_scores.read(workdir) for workdir in workdirs]
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
            terminal.tracker("resampling"),
        ),
    }
    comparison.write(folder, result)
    latex.write_comparison(folder, result)
    comparison.print_tables(result, terminal.console())
    terminal.say(f"results: {folder}")
    return result


def summarise_seeds(
    workdirs: Sequence[Path], request: requests.Request = DEFAULT
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
    terminal.say(f"summing up {len(workdirs)} runs on {request.split}")
    runs = [run_scores.read(workdir) for workdir in workdirs]
    run_facts.check_differ_in_seed([(run.workdir, run.facts) for run in runs])
    scored = _score_all(runs, request)
    folder = _folder_of_several(
        request, scored, f"-seeds-{len(scored)}", seeds.JSON_FILE
    )
    contenders = [_contender(of_run) for of_run in scored]
    summary = {
        "facts": _facts(scored, request),
        **seeds.summarise(
            [run.describe() for run in contenders],
            [paired.observe(run) for run in contenders],
        ),
    }
    seeds.write(folder, summary)
    latex.write_seeds(folder, summary)
    seeds.print_table(summary, terminal.console())
    terminal.say(f"results: {folder}")
    return summary


def _score_all(
    runs: Sequence[run_scores.SavedRun], request: requests.Request
) -> list[run_scores.ScoredRun]:
    scored = [run_scores.score(run, request.split, request.shards_dir) for run in runs]
    _say_undefined(scored[0].run.labels, scored[0].scores, request.split)
    return scored


def _contender(scored: run_scores.ScoredRun) -> paired.Contender:
    run = scored.run
    return paired.Contender(
        name=str(run.workdir),
        facts={
            "seed": run.facts["config"]["seed"],
            "epoch": run.epoch,
            "command": run.facts["command"],
            "untrained": list(shown_head.untrained(run.facts)),
        },
        labels=run.labels,
        scores=scored.scores,
        thresholds={h: chosen.overall for h, chosen in run.thresholds.items()},
    )


def _facts(
    scored: Sequence[run_scores.ScoredRun], request: requests.Request
) -> dict[str, Any]:
    """Returns what results say of the runs and the records on which they are judged."""
    first = scored[0]
    return {
        **{name: v for name, v in first.data.items() if name in WHICH_DATA},
        "split": request.split,
        "records": len(first.scores.names),
        "is_own_data": first.is_own,
        "workdirs": _workdirs(scored),
        "versions": run_facts.versions(),
        "command": request.command,
    }


def _folder_of_several(
    request: requests.Request,
    scored: Sequence[run_scores.ScoredRun],
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


def _workdirs(scored: Sequence[run_scores.ScoredRun]) -> list[str]:
    return [str(of_run.run.workdir.resolve()) for of_run in scored]


def _say_undefined(
    labels: Sequence[str], scores: types.SplitScores, split: str
) -> None:
    """Says which labels have no AUC, and are left out of the means over labels."""
    defined = metrics.has_both_classes(scores.labels)
    lacking = [label for label, is_ok in zip(labels, defined, strict=True) if not is_ok]
    if lacking:
        more = ", ..." if len(lacking) > MAX_NAMED else ""
        terminal.say(
            f"left out of the macro means: {len(lacking)} of {len(labels)} labels, as "
            f"all or none of the {len(scores.names):,} {split} records have them: "
            f"{', '.join(lacking[:MAX_NAMED])}{more}"
        )
