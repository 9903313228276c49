"""Scores the test fold with a run's best checkpoint; writes and shows its report."""

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from mrm_jax import (
    checkpoints,
    evaluation,
    hosts,
    input_pipeline,
    metric_writer,
    metrics,
    parallel,
    preemption,
    terminal,
    train_state,
    types,
)
from mrm_jax import plan as plans
from mrm_jax.report import files as report_files
from mrm_jax.report import table as report_table

CURVES_FILE = "curves.png"


def report(
    manager: ocp.CheckpointManager,
    plan: plans.Plan,
    workdir: Path,
    notice: preemption.Notice,
) -> dict[str, Any]:
    """Scores the test fold with the best checkpoint and writes what a run leaves.

    Args:
        manager: of the run's checkpoints, on process 0, which alone writes.
        plan: of the run.
        workdir: of the run.
        notice: stops it; nothing is written then.

    Raises:
        preemption.Preempted: if it did.
    """
    state = parallel.replicate(hosts.decide(lambda: _best_state(manager, plan)))
    val, test = (
        evaluation.predict(
            plan.model,
            state,
            feed(plan, split),
            plan.batch_size,
            notice.leaving(terminal.tracker(f"scoring {split}")),
        )
        for split in ("val", "test")
    )
    return hosts.decide(lambda: _write(manager, plan, workdir, val, test))


def _best_state(
    manager: ocp.CheckpointManager, plan: plans.Plan
) -> train_state.TrainState:
    manager.wait_until_finished()
    like = train_state.shapes(plan.model)
    return checkpoints.restore(manager, manager.best_step(), like)


def _write(
    manager: ocp.CheckpointManager,
    plan: plans.Plan,
    workdir: Path,
    val: types.SplitScores,
    test: types.SplitScores,
) -> dict[str, Any]:
    best = manager.best_step()
    history = metric_writer.read(workdir)
    if history:  # not where only the checkpoints were copied
        # Here, as matplotlib would delay the first step.
        from mrm_jax.report import curves

        curves.draw(history, workdir / CURVES_FILE, best, plan.name)
    facts = {
        **plan.facts["data"],
        "seed": plan.seed,
        "epoch": best,
        "epochs_trained": manager.latest_step(),
        "selection": plan.selection,
        "devices": parallel.describe(),
        **{name: plan.facts[name] for name in ("command", "config", "versions")},
    }
    labels, descriptions = facts["labels"], facts["descriptions"]
    return report_files.write(workdir, facts, labels, descriptions, test, val)


def feed(plan: plans.Plan, split: str, taken: int = 0) -> input_pipeline.Feed:
    """Returns a split; `taken` bytes of what may stay on a device are in use."""
    records = plan.data.split(plan.label_set, split)
    needs_both_classes = split != "test"
    if not len(records) or (
        needs_both_classes and not metrics.has_both_classes(records.labels).any()
    ):
        raise ValueError(
            f"{plan.data.folder}: no label of {plan.label_set} is both present and "
            f"absent in the {len(records)} {split} records; more records are needed"
        )
    limit = plan.resident_bytes
    if limit is None:
        limit = parallel.resident_bytes()
    return input_pipeline.Feed(
        plan.data, records, plan.described_labels, max(0, limit - taken)
    )


def show(report: dict[str, Any], workdir: Path) -> None:
    """Prints the table of a report and where its files are."""
    report_table.print_table(report, terminal.console())
    terminal.say(f"results: {workdir}")
