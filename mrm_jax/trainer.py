"""A whole run: train, keep the best epoch on validation, score the test fold once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    types,
)
from mrm_jax import plan as plans
from mrm_jax.models import mrm_net
from mrm_jax.report import files as report_files

# Of config.model, added since: what runs computed with before there was a choice.
LATER_OPTIONS = {"compute_dtype": "float32"}


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


def plan_again(facts: Mapping[str, Any], shards_dir: str | None = None) -> plans.Plan:
    """Returns the plan of a checkpoint, to score records with it.

    Args:
        facts: of the checkpoint.
        shards_dir: what to score, with any label set of the same labels; default: the
            run's own, where they were at training.

    Raises:
        ValueError: if the shards are not there or have no such label set.
    """
    config = saved_config(facts)
    if shards_dir is not None:
        config.data.shards = shards_dir
    elif config.data.shards is None:
        raise ValueError("these weights came without data; name them with --data")
    elif not Path(config.data.shards).is_dir():
        raise ValueError(
            f"{config.data.shards}: the shards are not there; name their folder with "
            "--data"
        )
    config = with_label_set(config, facts["data"]["labels"])
    return read(config, facts["command"])


def saved_config(facts: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """Returns the configuration of a checkpoint, with options that came later."""
    config = ml_collections.ConfigDict(facts["config"])
    for name, value in LATER_OPTIONS.items():
        if name not in config.model:
            config.model[name] = value
    return config


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
    """Returns config with the label set that has these labels in this order.

    That is the one it names, unless the shards have none of that name with them.

    Raises:
        ValueError: if the shards have no such set.
    """
    found = ml_collections.ConfigDict(config)
    data = shards.load(config.data.shards)
    named = data.manifest.label_sets.get(config.data.label_set)
    if named is None or named.labels != tuple(labels):
        found.data.label_set = data.label_set_of(labels)
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
    batches = -(-plan.described_labels.records["train"] // plan.batch_size)
    steps = plan.num_epochs * batches
    return (
        f"{reporting.num_parameters(plan):,} parameters on {parallel.describe()}, "
        f"{plan.num_epochs} epochs, {steps:,} steps of {plan.batch_size} records"
    )
