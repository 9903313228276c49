"""A whole run: train, keep the best epoch on validation, score the test fold once."""

from pathlib import Path
from typing import Any

import ml_collections

from mrm_jax.reports import run_report
from mrm_jax.runs import reporting
from mrm_jax.runtime import console, devices, preemption, processes
from mrm_jax.training import checkpoints, metadata, run_spec, trainer


def train_and_evaluate(
    config: ml_collections.ConfigDict,
    workdir: Path,
    command: str = "",
    notice: preemption.Notice | None = None,
) -> dict[str, Any]:
    """Runs, continues or recalls the run of a configuration.

    In several processes all call it; workdir need only be seen by process 0.

    Args:
        config: as experiments/base.py makes it.
        workdir: holds everything the run leaves.
        command: goes into the report, so that others can repeat it.
        notice: may ask the run to leave; default: none does.

    Returns:
        What report.json holds.

    Raises:
        ValueError: if the configuration is wrong, workdir holds another run, or the
            processes were not started alike.
        FloatingPointError: if the loss is not finite; checkpoints stay as they were.
        preemption.Preempted: if the run was asked to leave; a later call continues.
    """
    notice = notice or preemption.Notice()
    plan = processes.succeed(lambda: run_spec.read(config, command))
    metadata.check_same_everywhere(processes.gather(plan.facts))
    console.say(f"{plan.headline()}\n{_describe_work(plan)} -> {workdir}")
    with processes.main_only(lambda: checkpoints.open_manager(workdir)) as manager:
        position = processes.decide(
            lambda: trainer.find_position(manager, plan, workdir)
        )
        report = None
        if position.epoch > plan.num_epochs:
            report = processes.decide(lambda: _recall(workdir, position.epoch - 1))
        if report is None:
            processes.decide(lambda: run_report.discard(workdir))
            trainer.train(manager, plan, position, workdir, notice)
            report = reporting.report(manager, plan, workdir, notice)
    reporting.show(report, workdir)
    return report


def _recall(workdir: Path, epoch: int) -> dict[str, Any] | None:
    """Returns the report of a finished run, or None."""
    if not run_report.exists(workdir):
        return None
    console.say(f"finished at epoch {epoch}, nothing to do")
    return run_report.read(workdir)


def _describe_work(plan: run_spec.Plan) -> str:
    batches = -(-plan.described_labels.records["train"] // plan.batch_size)
    steps = plan.num_epochs * batches
    return (
        f"{reporting.num_parameters(plan):,} parameters on {devices.describe()}, "
        f"{plan.num_epochs} epochs, {steps:,} steps of {plan.batch_size} records"
    )
