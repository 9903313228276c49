"""Scores a split with a run's best checkpoint; writes and shows a report of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
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
    shards,
    terminal,
    thresholds,
    train_state,
    types,
)
from mrm_jax import plan as plans
from mrm_jax.report import files as report_files
from mrm_jax.report import latex, measures
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
    val, test = (score(plan, state, split, notice) for split in ("val", "test"))
    evaluated = measures.Evaluated(test, thresholds.choose(val), val=val)
    return hosts.decide(
        lambda: write_own(
            workdir,
            plan,
            facts(plan, manager.best_step(), manager.latest_step()),
            evaluated,
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


def write_own(
    workdir: Path,
    plan: plans.Plan,
    facts: Mapping[str, Any],
    evaluated: measures.Evaluated,
) -> dict[str, Any]:
    """Writes what a finished run leaves, its report last; returns the report.

    Args:
        workdir: of the run.
        plan: of the run.
        facts: as `facts` returns them.
        evaluated: its own test fold.
    """
    # Here, as matplotlib and jinja2 would delay the first step.
    from mrm_jax.report import curves, model_card

    report, epoch = _compose(facts, evaluated), facts["epoch"]
    report_files.discard(workdir)
    history = metric_writer.read(workdir)
    if history:  # not where only the checkpoints were copied
        curves.draw(history, workdir / CURVES_FILE, epoch, plan.name)
    thresholds.write(workdir, facts["labels"], evaluated.thresholds, epoch)
    model_card.write(workdir, report, num_parameters(plan))
    _write(workdir, plan, report, evaluated, history)
    return report


def write(
    folder: Path,
    plan: plans.Plan,
    facts: Mapping[str, Any],
    evaluated: measures.Evaluated,
    history: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Writes the report of any split and returns it.

    Args:
        folder: not of a run; made where it is not there.
        plan: of the run, with the records that were scored.
        facts: as `facts` returns them.
        evaluated: the split.
        history: lines of the run's metrics.jsonl.
    """
    report = _compose(facts, evaluated)
    folder.mkdir(parents=True, exist_ok=True)
    report_files.discard(folder)
    _write(folder, plan, report, evaluated, history)
    return report


def num_parameters(plan: plans.Plan) -> int:
    """Returns how many numbers a network learns."""
    return sum(p.size for p in jax.tree.leaves(train_state.shapes(plan.model).params))


def _compose(facts: Mapping[str, Any], evaluated: measures.Evaluated) -> dict[str, Any]:
    labels, descriptions = facts["labels"], facts["descriptions"]
    return report_files.compose(facts, labels, descriptions, evaluated)


def _write(
    folder: Path,
    plan: plans.Plan,
    report: Mapping[str, Any],
    evaluated: measures.Evaluated,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Writes page, tables and numbers, report.json last: it says that all is there."""
    from mrm_jax.report import page  # here, as matplotlib would delay the first step

    records = plan.data.split(plan.label_set, evaluated.split)

    def read_signal_mv(rows: np.ndarray) -> np.ndarray:
        """Returns signals [record, time, lead] in mV of rows of the split."""
        return plan.data.signals_uv(records.rows[rows]) / 1000

    page.write(folder, report, evaluated.scores, history, read_signal_mv)
    latex.write_report(folder, report)
    report_files.write(folder, report, evaluated.scores)


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
    terminal.say(f"results: {workdir}; read {workdir / 'report.html'}")
