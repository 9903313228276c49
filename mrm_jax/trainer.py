"""A whole run: train, keep the best epoch on validation, score the test fold once."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import ml_collections
import orbax.checkpoint as ocp

from mrm_jax import (
    checkpoints,
    evaluation,
    input_pipeline,
    metric_writer,
    metrics,
    parallel,
    plots,
    reports,
    run_facts,
    shards,
    terminal,
    train_state,
    training,
    types,
)
from mrm_jax.models import mrm_net

CURVES_FILE = "curves.png"
HEADS = ("high", "low", "mean")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a configuration asks for, checked and with its data opened."""

    name: str
    seed: int
    batch_size: int
    num_epochs: int
    selection_head: str  # its validation macro AUC picks the best epoch
    data: shards.Shards
    label_set: str
    resident_bytes: int | None
    model: mrm_net.MRMNet
    hparams: types.HParams
    facts: dict[str, Any]  # what travels inside every checkpoint

    def feed(self, split: str) -> input_pipeline.Feed:
        """Returns the records of a split.

        Raises:
            ValueError: if there are none.
        """
        records = self.data.split(self.label_set, split)
        if not len(records):
            raise ValueError(
                f"{self.data.folder}: no {split} record has a label of {self.label_set}"
            )
        label_set = self.data.manifest.label_sets[self.label_set]
        return input_pipeline.Feed(self.data, records, label_set, self.resident_bytes)


def read(config: ml_collections.ConfigDict) -> Plan:
    """Returns the plan of a configuration; the only place that reads one.

    Raises:
        ValueError: if a value is out of range or the shards do not fit.
    """
    data = shards.load(config.data.shards)
    manifest, label_set = data.manifest, config.data.label_set
    num_labels = data.split(label_set, "train").labels.shape[1]
    model = mrm_net.MRMNet(
        num_labels=num_labels,
        num_samples=manifest.num_samples,
        width=config.model.width,
        mutual_stages=tuple(config.model.mutual_stages),
        feature_pairing=config.model.feature_pairing,
        logit_divergence=config.model.logit_divergence,
        exchange=config.model.exchange,
        eca_conv=config.model.eca_conv,
        axis_name=parallel.AXIS,
    )
    _check_positive("batch_size", config.batch_size)
    _check_positive("num_epochs", config.num_epochs)
    if config.selection_head not in HEADS:
        raise ValueError(
            f"selection_head: expected one of {HEADS}, got {config.selection_head!r}"
        )
    resident = config.data.resident_gib
    return Plan(
        name=config.name,
        seed=config.seed,
        batch_size=config.batch_size,
        num_epochs=config.num_epochs,
        selection_head=config.selection_head,
        data=data,
        label_set=label_set,
        resident_bytes=None if resident is None else int(resident * 2**30),
        model=model,
        hparams=types.HParams(**config.hparams),
        facts={
            "config": run_facts.plain(config.to_dict()),
            "data": run_facts.describe_data(manifest, label_set, data.folder),
            "versions": run_facts.versions(),
        },
    )


def train_and_evaluate(
    config: ml_collections.ConfigDict, workdir: Path, command: str = ""
) -> dict[str, Any]:
    """Runs, continues or recalls the run of a configuration.

    Args:
        config: as experiments/base.py makes it.
        workdir: holds everything the run leaves.
        command: goes into the report, so that others can repeat it.

    Returns:
        What report.json holds.

    Raises:
        ValueError: if the configuration is wrong, or workdir holds another run.
        FloatingPointError: if the loss is not finite; checkpoints stay as they were.
    """
    plan = read(config)
    _say_plan(plan, workdir)
    with checkpoints.open_manager(workdir) as manager:
        state, first_epoch = _start(manager, plan, workdir)
        if first_epoch > plan.num_epochs and (workdir / reports.JSON_FILE).exists():
            terminal.say(f"finished at epoch {first_epoch - 1}; nothing to do")
            report = reports.read(workdir)
        else:
            _train(manager, plan, state, first_epoch, workdir)
            manager.wait_until_finished()
            report = _finish(manager, plan, workdir, command)
    reports.print_table(report, terminal.console())
    terminal.say(f"results: {workdir}")
    return report


def evaluate_run(workdir: Path, shards_dir: str | None, command: str) -> dict[str, Any]:
    """Scores a run's validation and test records again and rewrites its report.

    Args:
        workdir: of a run with at least one finished epoch.
        shards_dir: where the run's shards are now; default: where they were.
        command: goes into the report.

    Raises:
        ValueError: if there is no checkpoint, or the shards are not the run's own.
    """
    if not (workdir / checkpoints.FOLDER).is_dir():
        raise ValueError(f"{workdir}: no checkpoints; train first with mrm_jax.train")
    with checkpoints.open_manager(workdir) as manager:
        best = manager.best_step()
        if best is None:
            raise ValueError(f"{workdir}: no finished epoch yet; continue its training")
        saved = checkpoints.read_facts(manager, best)
        config = ml_collections.ConfigDict(saved["config"])
        if shards_dir is not None:
            config.data.shards = shards_dir
            saved["config"]["data"]["shards"] = shards_dir
        plan = read(config)
        run_facts.check_same_run(saved, plan.facts, workdir)
        _say_plan(plan, workdir)
        terminal.say(f"scores the test fold with epoch {best}, the best on validation")
        report = _finish(manager, plan, workdir, command)
    reports.print_table(report, terminal.console())
    terminal.say(f"results: {workdir}")
    return report


def _start(
    manager: ocp.CheckpointManager, plan: Plan, workdir: Path
) -> tuple[train_state.TrainState, int]:
    """Returns the newest state, or a new one, and the epoch to begin with."""
    create = jax.jit(lambda rng: train_state.create(rng, plan.model))
    rng = jax.random.PRNGKey(plan.seed)
    newest = manager.latest_step()
    if newest is None:
        return create(rng), 1
    saved = checkpoints.read_facts(manager, newest)
    run_facts.check_same_run(saved, plan.facts, workdir)
    terminal.say(f"continues after epoch {newest}")
    like = jax.eval_shape(create, rng)
    return checkpoints.restore(manager, newest, like), newest + 1


def _train(
    manager: ocp.CheckpointManager,
    plan: Plan,
    state: train_state.TrainState,
    first_epoch: int,
    workdir: Path,
) -> None:
    """Trains from first_epoch on; writes metrics and a checkpoint every epoch."""
    if first_epoch > plan.num_epochs:
        return
    train, val = plan.feed("train"), plan.feed("val")
    train_call = training.mapped(plan.model)
    predict_call = evaluation.mapped(plan.model)
    state, hparams = parallel.replicate(state), parallel.replicate(plan.hparams)
    with metric_writer.MetricWriter(workdir, first_epoch) as writer:
        for epoch in range(first_epoch, plan.num_epochs + 1):
            rows = input_pipeline.epoch_rows(
                len(train), plan.batch_size, plan.seed, epoch
            )
            state, terms = training.train_epoch(
                train_call, state, train, rows, hparams, _tracker(epoch)
            )
            scores = evaluation.predict(predict_call, state, val, plan.batch_size)
            values = _epoch_values(terms, scores)
            selection = values[f"val/macro_auc_{plan.selection_head}"]
            facts = plan.facts | {"epoch": epoch, "metrics": values}
            writer.write(epoch, values)
            host_state = parallel.take_first(state)
            checkpoints.save(manager, epoch, host_state, facts, selection)
            _say_epoch(epoch, plan.num_epochs, values)


def _finish(
    manager: ocp.CheckpointManager, plan: Plan, workdir: Path, command: str
) -> dict[str, Any]:
    """Scores the test fold with the best checkpoint and writes the report."""
    best = manager.best_step()
    scores = _score(manager, plan, best, ("val", "test"))
    report = reports.write(
        workdir,
        {
            **plan.facts["data"],
            "seed": plan.seed,
            "epoch": best,
            "num_epochs": plan.num_epochs,
            "selection": f"val/macro_auc_{plan.selection_head}",
            "command": command,
            "devices": parallel.describe(),
            "config": plan.facts["config"],
            "versions": plan.facts["versions"],
        },
        plan.facts["data"]["labels"],
        plan.facts["data"]["descriptions"],
        test=scores["test"],
        val=scores["val"],
    )
    history = metric_writer.read(workdir)
    plots.curves(history, workdir / CURVES_FILE, best, plan.name)
    return report


def _score(
    manager: ocp.CheckpointManager, plan: Plan, epoch: int, splits: tuple[str, ...]
) -> dict[str, reports.SplitScores]:
    """Returns the scores of splits by an epoch's checkpoint."""
    like = jax.eval_shape(
        lambda rng: train_state.create(rng, plan.model), jax.random.PRNGKey(0)
    )
    state = parallel.replicate(checkpoints.restore(manager, epoch, like))
    call = evaluation.mapped(plan.model)
    return {
        split: evaluation.predict(call, state, plan.feed(split), plan.batch_size)
        for split in splits
    }


def _epoch_values(
    terms: dict[str, float], val: reports.SplitScores
) -> dict[str, float]:
    values = {f"train/{name}": value for name, value in terms.items()}
    for head, scores in val.heads.items():
        found = metrics.evaluate(scores, val.labels)
        values |= {f"val/{name}_{head}": value for name, value in found.items()}
    return values


def _tracker(epoch: int) -> training.Track:
    return lambda items, total: terminal.track(items, total, f"epoch {epoch}")


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, got {value}")


def _say_plan(plan: Plan, workdir: Path) -> None:
    manifest, records = plan.data.manifest, plan.facts["data"]["records"]
    sizes = " / ".join(f"{records[split]:,}" for split in manifest.split_folds)
    steps = plan.num_epochs * -(-records["train"] // plan.batch_size)
    shapes = jax.eval_shape(
        lambda rng: train_state.create(rng, plan.model), jax.random.PRNGKey(0)
    )
    num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes.params))
    terminal.say(
        f"{plan.name}: {manifest.data_set} {manifest.data_set_version}, label set "
        f"{plan.label_set} with {plan.model.num_labels} labels, {sizes} records "
        f"(train / val / test)\n"
        f"{num_params:,} parameters on {parallel.describe()}, "
        f"{plan.num_epochs} epochs, {steps:,} steps of {plan.batch_size} records "
        f"-> {workdir}"
    )


def _say_epoch(epoch: int, num_epochs: int, values: dict[str, float]) -> None:
    aucs = ", ".join(f"{head} {values[f'val/macro_auc_{head}']:.4f}" for head in HEADS)
    terminal.say(
        f"epoch {epoch}/{num_epochs}: loss {values['train/loss']:.4f}, "
        f"val macro AUC {aucs}, {values['train/records_per_second']:.1f} records/s"
    )
