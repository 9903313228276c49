"""A whole run, from training to one evaluation of its best epoch on the test fold."""

from pathlib import Path
from typing import Any

import ml_collections

from mrm_jax.reports import run_report
from mrm_jax.runs import reporting, transfer
from mrm_jax.runtime import console, devices, preemption, processes
from mrm_jax.training import metadata, ranges, run_folder, run_spec, trainer


def train_and_evaluate(
    config: ml_collections.ConfigDict,
    workdir: Path,
    command: str = "",
    handler: preemption.PreemptionHandler | None = None,
    source: transfer.Source | None = None,
) -> dict[str, Any]:
    """Trains and evaluates a run, resumes it, or reads its report if it is finished.

    With several processes, all of them call this function. Only process 0 needs access
    to workdir.

    Args:
        config: configuration, as made by `experiments/base.py`.
        workdir: folder for everything that the run writes.
        command: command line, stored in the report so that others can repeat the run.
        handler: preemption handler. Default: the run cannot be preempted.
        source: the first weights. Default: those of config.init.run, if it names any.

    Returns:
        The content of report.json.

    Raises:
        ValueError: if the configuration is invalid, workdir holds another run, or the
            processes were started with different settings, data or versions.
        FloatingPointError: if the loss is not finite. Checkpoints remain unchanged.
        preemption.Preempted: if the run was preempted; a later call resumes it.
    """
    handler = handler or preemption.PreemptionHandler()
    spec = processes.all_or_raise(lambda: _prepare(config, command, source))
    metadata.check_same_everywhere(processes.gather(spec.metadata))
    console.say(f"{spec.headline()}\n{_describe_work(spec)} -> {workdir}")
    with processes.main_only(lambda: run_folder.RunFolder(spec, workdir)) as folder:
        report, epochs_done = None, folder.num_epochs_done()
        if folder.is_finished():
            report = processes.run_on_main(lambda: _recall(workdir, epochs_done))
        if report is None:
            trainer.train(folder, spec, handler)
            report = reporting.report(folder, spec, workdir, handler)
    reporting.show(report, workdir)
    return report


def _prepare(
    config: ml_collections.ConfigDict, command: str, source: transfer.Source | None
) -> run_spec.RunSpec:
    """Returns the specification of a run, with its first weights."""
    spec = run_spec.build_run_spec(config, command)
    ranges.check_warmup(spec.hparams)
    return transfer.prepare(spec, source)


def _recall(workdir: Path, epochs_done: int) -> dict[str, Any] | None:
    """Returns the report of a finished run, or None if it has to be written."""
    if not run_report.exists(workdir):
        return None
    try:
        report = run_report.read(workdir)
    except ValueError as error:
        console.say(f"{error}\nThe report is written again.")
        return None
    if report["facts"]["epochs_trained"] != epochs_done:  # before it was extended
        return None
    console.say(f"finished at epoch {epochs_done}, nothing to do")
    return report


def _describe_work(spec: run_spec.RunSpec) -> str:
    batches = -(-spec.described_labels.records["train"] // spec.batch_size)
    steps = spec.num_epochs * batches
    return (
        f"{reporting.num_parameters(spec):,} parameters on {devices.describe()}, "
        f"{spec.num_epochs} epochs, {steps:,} steps of {spec.batch_size} records"
    )
