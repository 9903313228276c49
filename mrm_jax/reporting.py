"""Scores a split with a run's best checkpoint; writes and shows a report of it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from mrm_jax import (
    checkpoints,
    evaluation,
    hosts,
    input_pipeline,
    intervals,
    metric_writer,
    metrics,
    parallel,
    preemption,
    shards,
    terminal,
    thresholds,
    train_state,
    types,
)
from mrm_jax import plan as plans
from mrm_jax.report import files as report_files
from mrm_jax.report import latex
from mrm_jax.report import table as report_table

CURVES_FILE = "curves.png"


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a report is made of, but for what it says of the run."""

    scores: types.SplitScores  # of the split reported
    val: types.SplitScores | None  # of the run's own records; None: not at hand
    # By head, of the run's own validation records; None: chosen on `val`.
    chosen: Mapping[str, thresholds.Thresholds] | None = None
    resamples: int = intervals.RESAMPLES
    seed: int = 0  # of the resamples


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
    val, test = (score(plan, state, split, notice) for split in ("val", "test"))
    return hosts.decide(
        lambda: write(
            workdir,
            plan,
            facts(plan, manager.best_step(), manager.latest_step()),
            Judged(test, val),
        )
    )


def _best_state(
    manager: ocp.CheckpointManager, plan: plans.Plan
) -> train_state.TrainState:
    manager.wait_until_finished()
    like = train_state.shapes(plan.model)
    return checkpoints.restore(manager, manager.best_step(), like)


def score(
    plan: plans.Plan,
    state: train_state.TrainState,
    split: str,
    notice: preemption.Notice,
) -> types.SplitScores:
    """Returns the scores of every record of a split, in its order.

    Args:
        plan: of the run; its data may be others than it was trained on.
        state: replicated.
        split: one with records; they need not have both classes of any label.
        notice: stops it.

    Raises:
        ValueError: if the split has no record with a label of the label set.
        preemption.Preempted: if it was asked to leave.
    """
    records = plan.data.split(plan.label_set, split)
    if not len(records):
        raise ValueError(
            f"{plan.data.folder}: no {split} record has a label of {plan.label_set}"
        )
    track = notice.leaving(terminal.tracker(f"scoring {split}"))
    fed = _feed(plan, records)
    return evaluation.predict(plan.model, state, fed, plan.batch_size, track)


def facts(
    plan: plans.Plan,
    epoch: int,
    epochs_trained: int,
    split: str = "test",
    **more: Any,
) -> dict[str, Any]:
    """Returns what a report says of a run and of what it is judged on.

    Args:
        plan: of the run.
        epoch: the best one, which is judged.
        epochs_trained: all of them.
        split: the one judged.
        more: "evaluated_on": the data facts of other shards than the run's own;
            "evaluated_by": the command, where it is no training.
    """
    return {
        **plan.facts["data"],
        "seed": plan.seed,
        "epoch": epoch,
        "epochs_trained": epochs_trained,
        "selection": plan.selection,
        "devices": parallel.describe(),
        **{name: plan.facts[name] for name in ("command", "config", "versions")},
        "split": split,
        **{"evaluated_on": None, "evaluated_by": "", **more},
    }


def write(
    folder: Path, plan: plans.Plan, facts: Mapping[str, Any], judged: Judged
) -> dict[str, Any]:
    """Writes all that is left of a judged split; returns what report.json holds.

    Args:
        folder: of the run for its own test fold, otherwise one of its own; made where
            it is not there.
        plan: of the run, with the records that were judged.
        facts: as `facts` returns them.
        judged: scores and how to judge them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    history = metric_writer.read(folder)
    if history:  # not where only the checkpoints were copied, or beside a run
        # Here, as matplotlib would delay the first step.
        from mrm_jax.report import curves

        curves.draw(history, folder / CURVES_FILE, facts["epoch"], plan.name)
    report = _write_numbers(folder, facts, judged)
    latex.write_report(folder, report)
    return report


def _write_numbers(
    folder: Path, facts: Mapping[str, Any], judged: Judged
) -> dict[str, Any]:
    overall = None
    if judged.chosen is not None:
        overall = {head: chosen.overall for head, chosen in judged.chosen.items()}
    return report_files.write(
        folder,
        facts,
        facts["labels"],
        facts["descriptions"],
        judged.scores,
        judged.val,
        overall,
    )


def feed(plan: plans.Plan, split: str, taken: int = 0) -> input_pipeline.Feed:
    """Returns a split to train with; `taken` bytes of a device are in use already.

    Raises:
        ValueError: if a macro AUC of a split but the test one would not be defined.
    """
    records = plan.data.split(plan.label_set, split)
    needs_both_classes = split != "test"
    if not len(records) or (
        needs_both_classes and not metrics.has_both_classes(records.labels).any()
    ):
        raise ValueError(
            f"{plan.data.folder}: no label of {plan.label_set} is both present and "
            f"absent in the {len(records)} {split} records; more records are needed"
        )
    return _feed(plan, records, taken)


def _feed(
    plan: plans.Plan, records: shards.Split, taken: int = 0
) -> input_pipeline.Feed:
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
