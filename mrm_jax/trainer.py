"""A whole run: train, keep the best epoch on validation, score the test fold once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections

from mrm_jax import (
    checkpoints,
    epochs,
    hosts,
    parallel,
    preemption,
    reporting,
    run_facts,
    shards,
    terminal,
    train_state,
    types,
)
from mrm_jax import plan as plans
from mrm_jax.models import mrm_net
from mrm_jax.report import files as report_files


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
    plan = hosts.succeed(lambda: read(config, command))
    run_facts.check_same_everywhere(hosts.gather(plan.facts))
    terminal.say(f"{plan.headline()}\n{_describe_work(plan)} -> {workdir}")
    with hosts.main_only(lambda: checkpoints.open_manager(workdir)) as manager:
        position = hosts.decide(lambda: epochs.find_position(manager, plan, workdir))
        report = None
        if position.epoch > plan.num_epochs:
            report = hosts.decide(lambda: _recall(workdir, position.epoch - 1))
        if report is None:
            epochs.train(manager, plan, position, workdir, notice)
            report = reporting.report(manager, plan, workdir, notice)
    reporting.show(report, workdir)
    return report


def evaluate_run(workdir: Path, shards_dir: str | None = None) -> dict[str, Any]:
    """Scores a run's validation and test records again and rewrites its report.

    Args:
        workdir: of a run with at least one finished epoch.
        shards_dir: where the run's shards are now; default: where they were.

    Raises:
        ValueError: if there is no checkpoint, or the shards are not the run's own.
    """
    with checkpoints.open_existing(workdir) as manager:
        saved = checkpoints.read_facts(manager, manager.best_step())
        config = ml_collections.ConfigDict(saved["config"])
        if shards_dir is not None:
            config.data.shards = shards_dir
        plan = read(with_label_set(config, saved["data"]["labels"]), saved["command"])
        run_facts.check_same_run(saved, plan.facts, workdir)
        terminal.say(f"{plan.headline()}\nscored on {parallel.describe()} -> {workdir}")
        report = reporting.report(manager, plan, workdir, preemption.Notice())
    reporting.show(report, workdir)
    return report


def read(config: ml_collections.ConfigDict, command: str = "") -> plans.Plan:
    """Returns the plan of a configuration; the only place that reads one.

    Raises:
        ValueError: if a value is out of range or the shards do not fit.
    """
    data = shards.load(config.data.shards)
    label_set = config.data.label_set
    num_labels = len(data.label_set(label_set).labels)
    resident_gib = config.data.resident_gib
    return plans.Plan(
        name=config.name,
        seed=config.seed,
        batch_size=config.batch_size,
        num_epochs=config.num_epochs,
        selection_head=config.selection_head,
        data=data,
        label_set=label_set,
        resident_bytes=None if resident_gib is None else int(resident_gib * 2**30),
        model=network(config, num_labels, data.manifest.num_samples),
        hparams=types.HParams(**config.hparams),
        facts={
            "config": run_facts.plain(config.to_dict()),
            "data": run_facts.describe_data(data.manifest, label_set),
            "versions": run_facts.versions(),
            "command": command,
        },
    )


def with_label_set(
    config: ml_collections.ConfigDict, labels: Sequence[str]
) -> ml_collections.ConfigDict:
    """Returns config with the label set that has these labels, where it has none.

    Weights that came without data do not say which set of which shards is theirs.

    Raises:
        ValueError: if no shards are named or they have no such set.
    """
    if config.data.label_set is not None:
        return config
    if config.data.shards is None:
        raise ValueError("these weights came without data; name them with --shards")
    found = ml_collections.ConfigDict(config)
    found.data.label_set = shards.load(config.data.shards).label_set_of(labels)
    return found


def network(
    config: ml_collections.ConfigDict, num_labels: int, num_samples: int
) -> mrm_net.MRMNet:
    """Returns the network of a configuration.

    Raises:
        ValueError: if a value does not exist or does not fit the number of samples.
    """
    return mrm_net.MRMNet(
        num_labels=num_labels,
        num_samples=num_samples,
        width=config.model.width,
        mutual_stages=tuple(config.model.mutual_stages),
        feature_pairing=config.model.feature_pairing,
        logit_divergence=config.model.logit_divergence,
        exchange=config.model.exchange,
        eca_conv=config.model.eca_conv,
        compute_dtype=config.model.compute_dtype,
        axis_name=parallel.AXIS,
    )


def _recall(workdir: Path, epoch: int) -> dict[str, Any] | None:
    """Returns the report of a finished run, or None."""
    if not report_files.exists(workdir):
        return None
    terminal.say(f"finished at epoch {epoch}, nothing to do")
    return report_files.read(workdir)


def _describe_work(plan: plans.Plan) -> str:
    params = jax.tree.leaves(train_state.shapes(plan.model).params)
    batches = -(-plan.described_labels.records["train"] // plan.batch_size)
    steps = plan.num_epochs * batches
    return (
        f"{sum(leaf.size for leaf in params):,} parameters on {parallel.describe()}, "
        f"{plan.num_epochs} epochs, {steps:,} steps of {plan.batch_size} records"
    )
