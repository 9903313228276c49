"""A whole run: train, keep the best epoch on validation, score the test fold once."""

from pathlib import Path
from typing import Any

import ml_collections

from mrm_jax.reports import run_report
from mrm_jax.runs import reporting
from mrm_jax.runtime import console, devices, preemption, processes
from mrm_jax.training import metadata, run_folder, run_spec, trainer


def train_and_evaluate(
    config: ml_collections.ConfigDict,
    workdir: Path,
    command: str = "",
    handler: preemption.PreemptionHandler | None = None,
) -> dict[str, Any]:
    """Runs, continues or recalls the run of a configuration.

    In several processes all call it; workdir need only be seen by process 0.

    Args:
        config: as experiments/base.py makes it.
        workdir: holds everything the run leaves.
        command: goes into the report, so that others can repeat it.
        handler: of preemption; default: the run cannot be preempted.

    Returns:
        What report.json holds.

    Raises:
        ValueError: if the configuration is wrong, workdir holds another run, or the
            processes were not started alike.
        FloatingPointError: if the loss is not finite; checkpoints stay as they were.
        preemption.Preempted: if the run was preempted; a later call resumes it.
    """
    handler = handler or preemption.PreemptionHandler()
    spec = processes.all_or_raise(lambda: run_spec.build_run_spec(config, command))
    metadata.check_same_everywhere(processes.gather(spec.metadata))
    console.say(f"{spec.headline()}\n{_describe_work(spec)} -> {workdir}")
    with processes.main_only(lambda: run_folder.RunFolder(spec, workdir)) as folder:
        report, epochs_done = None, folder.num_epochs_done()
        if epochs_done >= spec.num_epochs:
            report = processes.run_on_main(lambda: _recall(workdir, epochs_done))
        if report is None:
            processes.run_on_main(lambda: run_report.discard(workdir))
            trainer.train(folder, spec, handler)
            report = reporting.report(folder, spec, workdir, handler)
    reporting.show(report, workdir)
    return report


def _recall(workdir: Path, epoch: int) -> dict[str, Any] | None:
    """Returns the report of a finished run, or None."""
    if not run_report.exists(workdir):
        return None
    console.say(f"finished at epoch {epoch}, nothing to do")
    return run_report.read(workdir)


def _describe_work(spec: run_spec.RunSpec) -> str:
    batches = -(-spec.described_labels.records["train"] // spec.batch_size)
    steps = spec.num_epochs * batches
    return (
        f"{reporting.num_parameters(spec):,} parameters on {devices.describe()}, "
        f"{spec.num_epochs} epochs, {steps:,} steps of {spec.batch_size} records"
    )
