"""A whole sweep: the search, the best trial with other seeds, and the report."""

import contextlib
import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
from optuna.distributions import CategoricalDistribution, IntDistribution

from mrm_jax.runtime import atomic, console, devices, preemption, text
from mrm_jax.sweeps import progress, search_space, trial_run
from mrm_jax.sweeps import report as report_lib
from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps import workdir as workdir_lib
from mrm_jax.sweeps import worker as worker_lib
from mrm_jax.sweeps.search_space import Space
from mrm_jax.sweeps.study import Study
from mrm_jax.sweeps.study_spec import StudySpec
from mrm_jax.sweeps.trials import Row
from mrm_jax.training import config as config_lib
from mrm_jax.training import inherited, metadata, ranges, run_spec, unused

BEST = "best"  # symbolic link to the best trial's run
AGAIN = "best_again"  # folder of the printed command that trains it again
STUDY_FILE = "study.sqlite"
# The best trial is trained again with seeds drawn from this range. It is the same for
# any --seeds, so that raising it later trains only the additional ones.
FIRST_SEED, SEEDS = 1001, 1000


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a sweep."""

    config_file: str
    overrides: Sequence[str]  # each "--config.NAME=VALUE"
    workdir: Path
    trials: int
    slots: int | None = None  # most trials to train at once; None: as many as fit
    batching: str | None = None  # one of vectorised.BATCHINGS; None: the default
    sampler: str = "tpe"
    pruner: str = "hyperband"
    seeds: int = 5  # number of seeds with which the best trial is trained again
    sampler_seed: int = 0
    storage: str | None = None  # None: a file in workdir
    study: str | None = None  # name in the storage; None: the experiment's name
    worker: str | None = None  # None: see `workdir.worker_name`
    heartbeat_s: int = 60
    timeout_s: int = 180
    patience_s: float = 60
    keep_all: bool = False


def run(
    options: Options,
    command: str = "",
    handler: preemption.PreemptionHandler | None = None,
) -> dict[str, Any]:
    """Works on a sweep until all its trials have ended, and writes the report.

    Args:
        options: options, the same in all processes of a sweep except worker and slots.
        command: command line for the report.
        handler: handler of preemption; None: signals are ignored.

    Returns:
        The content of sweep.json.

    Raises:
        ValueError: if the experiment, its space or the options are invalid.
        ConnectionError: if the storage does not answer.
        preemption.Preempted: if the worker was preempted; a later call resumes.
    """
    config = config_lib.load(options.config_file, options.overrides)
    spec = run_spec.build_run_spec(config, command)
    _check_new_weights(spec)
    space = search_space.load(options.config_file, config)
    search_space.check_trainable(config, space, spec.data)
    _check_options(options, config, space)
    text.check_name("--study", options.study or config.name)
    study_spec = StudySpec(
        name=options.study or config.name,
        space=space,
        trials=options.trials,
        num_epochs=spec.num_epochs,
        sampler=options.sampler,
        pruner=options.pruner,
        seed=options.sampler_seed,
        config=metadata.fingerprint(spec.metadata),
        patience=spec.patience,
    )
    workdir_lib.initialize(options.workdir, study_spec.name, study_spec.config)
    if options.worker is not None:
        text.check_name("--worker", options.worker)
    with _name(options) as worker:
        console.say(_headline(options, spec, study_spec, worker))
        arguments = ["mrm_jax.train", f"--config={options.config_file}"]
        job = worker_lib.Job(
            config,
            [*arguments, *options.overrides],
            options.workdir,
            options.slots,
            options.batching,
            handler or preemption.PreemptionHandler(),
            options.keep_all,
        )
        rows, trained_again = _search(options, study_spec, job, worker)
    facts = _facts(options, spec, study_spec, command)
    report = report_lib.write(options.workdir, facts, rows, trained_again)
    report_lib.draw(options.workdir, rows, space, report)
    report_lib.print_table(report, rows, console.console())
    _show_best(options.workdir, job, report)
    return report


def _check_new_weights(spec: run_spec.RunSpec) -> None:
    init = spec.metadata["config"]["init"]
    if init["run"] or inherited.is_configured(init, spec.hparams):
        raise ValueError(
            "init.run, init.freeze, init.statistics and hparams.inherited_rate: a "
            "sweep trains from new weights. Leave them at their defaults, or train "
            "single runs with `python -m mrm_jax.train --init_from RUN`."
        )


def _check_options(
    options: Options, config: ml_collections.ConfigDict, space: Space
) -> None:
    """Checks that every trial has the values of flags, and reads those that vary.

    Raises:
        ValueError: if one does not, or if there are no seeds to train the best again.
    """
    if options.seeds > 0:
        _unused_seed(config, space)
    varied = [f"--config.{name}" for name in space.distributions]
    given = {word.partition("=")[0] for word in options.overrides}
    both = sorted(given.intersection(varied))
    # A sweep that an earlier version began may go on.
    if both and not (options.workdir / workdir_lib.OWNER_FILE).exists():
        raise ValueError(
            f"{both[0]} has no effect, as every trial has a value of the space in its "
            "place. Leave it out, or take the value out of get_space()."
        )
    for program in space.programs:
        own = search_space.apply(config, program)
        unused.check(own, [*options.overrides, *varied])


def _search(
    options: Options, study_spec: StudySpec, job: worker_lib.Job, worker: str
) -> tuple[list[Row], dict[int, float]]:
    """Returns all trials, and seed -> value of the best one trained again."""
    rows = _work(options, study_spec, job, worker, "trials")
    complete = [row for row in rows if row.state == "complete"]
    if not complete or options.seeds < 1:
        return rows, {}
    best = max(complete, key=lambda row: row.value or 0.0)
    values = {name: value for name, value in best.values.items() if name != "seed"}
    config = search_space.apply(job.config, values)
    first = _unused_seed(job.config, study_spec.space)
    seeds = IntDistribution(first, first + SEEDS - 1)
    spec = run_spec.build_run_spec(config)
    again = dataclasses.replace(
        study_spec,
        name=f"{study_spec.name}, seeds of {best.number}",
        space=search_space.check({"seed": seeds}, config),
        trials=options.seeds,
        trials_flag="--seeds",
        sampler="grid",
        pruner="none",
        config=metadata.fingerprint(spec.metadata),
        patience=spec.patience,
    )
    job = dataclasses.replace(
        job,
        config=config,
        arguments=[*job.arguments, *trial_run.overrides(config, values)],
        workdir=options.workdir / f"seeds_of_{best.number:04d}",
    )
    found = _work(options, again, job, worker, "seeds of the best")
    values_of_seeds = {
        row.values["seed"]: row.value
        for row in found
        if row.state == "complete" and row.value is not None
    }
    if len(values_of_seeds) < len(found):
        missing = len(found) - len(values_of_seeds)
        console.say(f"{missing} of the additional seeds did not end and do not count.")
    return rows, values_of_seeds


def _unused_seed(config: ml_collections.ConfigDict, space: Space) -> int:
    """Returns the first of SEEDS seeds that the search cannot have used.

    They follow the largest one that it can have used. If there are too few of them,
    they fill the first gap.

    Raises:
        ValueError: if there is no gap either.
    """
    used = [(config.seed, config.seed)]
    match space.distributions.get("seed"):
        case IntDistribution(low=low, high=high):
            used.append((low, high))
        case CategoricalDistribution(choices=choices):
            used += [(seed, seed) for seed in choices]
    _, largest = ranges.SIZES["seed"]
    first = max(FIRST_SEED, *(high + 1 for _, high in used))
    if first + SEEDS - 1 <= largest:
        return first
    first = FIRST_SEED
    for low, high in sorted(used):
        if low >= first + SEEDS:
            break
        first = max(first, high + 1)
    if first + SEEDS - 1 > largest:
        raise ValueError(
            f"seed: the space leaves no {SEEDS:,} seeds above {FIRST_SEED - 1:,} with "
            "which the best trial is trained again. Vary it over fewer values, or pass "
            "--seeds=0."
        )
    return first


def _work(
    options: Options,
    study_spec: StudySpec,
    job: worker_lib.Job,
    worker: str,
    title: str,
) -> list[Row]:
    """Trains the trials of a study and returns them."""
    storage = options.storage or storage_lib.sqlite_url(options.workdir / STUDY_FILE)
    clock = (options.heartbeat_s, options.timeout_s, options.patience_s)
    with Study(storage, study_spec, worker, *clock) as study:
        if not study.progress().done:
            # A worker that is stopped keeps its trials: started again under its name
            # it resumes them. Other workers take them over after the timeout.
            with progress.SweepProgress(title) as shown:
                worker_lib.Worker(job, study, shown).work()
        return study.table()


def _name(options: Options) -> contextlib.AbstractContextManager[str]:
    if options.worker is not None:
        return contextlib.nullcontext(options.worker)
    return workdir_lib.worker_name(
        options.workdir, has_shared_study=options.storage is not None
    )


def _headline(
    options: Options, spec: run_spec.RunSpec, study_spec: StudySpec, worker: str
) -> str:
    space, total = study_spec.space, study_spec.total(study_spec.trials)
    programs = len(space.programs)
    storage = options.workdir / STUDY_FILE
    shown = storage_lib.shown(options.storage) if options.storage else storage
    return (
        f"{spec.headline()}; the test records are not read\n"
        f"{total} trials of {', '.join(space.distributions)} in {programs} "
        f"program{'s' if programs > 1 else ''}, {study_spec.sampler}, "
        f"pruner {study_spec.pruner}, {spec.num_epochs} epochs each; "
        f"{options.slots or 'as many as fit'} at once on {devices.describe()}\n"
        f"worker {worker}, study {study_spec.name!r} in {shown} -> {options.workdir}"
    )


def _facts(
    options: Options, spec: run_spec.RunSpec, study_spec: StudySpec, command: str
) -> dict[str, Any]:
    return {
        "study": study_spec.name,
        "metric": spec.selection,
        "trials": study_spec.total(study_spec.trials),
        "sampler": study_spec.sampler,
        "sampler_seed": study_spec.seed,
        "pruner": study_spec.pruner,
        "num_epochs": spec.num_epochs,
        "space": {n: str(d) for n, d in study_spec.space.distributions.items()},
        "command": command,
        **{name: spec.metadata[name] for name in ("data", "config", "versions")},
    }


def _show_best(workdir: Path, job: worker_lib.Job, report: Mapping[str, Any]) -> None:
    """Prints how to evaluate the best trial on the test fold, or to train it again."""
    best = report["best"]
    if best is None:
        return
    folder, link = trial_run.folder(workdir, best["setting"]), workdir / BEST
    if trial_run.has_checkpoints(folder):
        with atomic.replacing(link) as temporary:  # every worker sets it
            temporary.symlink_to(folder.relative_to(workdir))
        console.say(
            f"Best run: {link}\nTo evaluate it on the test fold, once: "
            f"python -m mrm_jax.evaluate --run {shlex.quote(str(link))}",
            wrap=False,
        )
        console.say("To train it again, by itself:")
    else:
        if link.is_symlink():  # to the best trial of before
            link.unlink(missing_ok=True)
        console.say("The best run is on another machine. To train it here:")
    values = {name: best[name] for name in report["space"]}
    config = search_space.apply(job.config, values)
    words = [*job.arguments, *trial_run.overrides(config, values)]
    words.append(f"--workdir={workdir / AGAIN}")
    console.say(f"python -m {shlex.join(words)}", wrap=False)
    console.say(f"Results: {workdir}")
