"""Conversion between runs and PyTorch checkpoints, in both directions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from mrm_jax.data import leads, shards
from mrm_jax.interop import torch_checkpoint, torch_optimizer, torch_weights
from mrm_jax.models.mrm_net import network as mrm_net
from mrm_jax.runs import trained_run
from mrm_jax.runtime import locks, text
from mrm_jax.training import (
    checkpoints,
    metadata,
    run_spec,
    saved_metadata,
    train_state,
)

KEPT = ("config", "data", "versions", "command")  # metadata in a converted file
UNKNOWN_SELECTION = 0.0  # below any validation AUC, so that later epochs can beat it


def import_weights(
    checkpoint: torch_checkpoint.TorchCheckpoint,
    labels: Sequence[str],
    config: ml_collections.ConfigDict,
    drop: Sequence[str] = (),
) -> tuple[train_state.TrainState, dict[str, Any]]:
    """Returns the state and the metadata of a run that continues a PyTorch checkpoint.

    Args:
        checkpoint: PyTorch checkpoint; its optimiser state is carried over if present.
        labels: names of the network's outputs, in order.
        config: experiment config, which is changed in place. The width and the options
            that change the parameters are taken from the weights; the learning rate and
            the weight decay are taken from the optimiser state. data.shards may be
            None, in which case the dataset is that of the run that was converted to
            the checkpoint or, if PyTorch made it, unknown.
        drop: regular expressions that match entries which no forward pass reads.

    Raises:
        ValueError: if names, shapes, labels, optimiser or data do not match.
    """
    variables = torch_weights.from_torch(checkpoint.weights, drop)
    model, num_leads = torch_weights.model_of(checkpoint.weights)
    if len(labels) != model.num_labels:
        raise ValueError(
            f"The network has {model.num_labels} outputs, but {len(labels)} labels "
            "were given. Name one label per output."
        )
    for name in ("width", "exchange", "eca_conv"):
        config.model[name] = getattr(model, name)
    state = train_state.begin(
        jax.random.PRNGKey(config.seed),
        jax.tree.map(_single, variables),
        config.average_weights,
    )
    if checkpoint.optimizer is not None:
        adam = torch_optimizer.from_torch(
            checkpoint.optimizer, checkpoint.weights, drop
        )
        if adam is not None:
            mu, nu = (jax.tree.map(_single, tree) for tree in (adam.mu, adam.nu))
            state = train_state.with_moments(state, adam.count, mu, nu)
            # Otherwise the run would silently continue at different rates.
            config.hparams.learning_rate = adam.learning_rate
            config.hparams.weight_decay = adam.weight_decay
    facts = _facts(config, labels, checkpoint.metadata)
    _check_leads(num_leads, facts["data"]["leads"])
    return state, facts


def write_run(
    workdir: Path, state: train_state.TrainState, facts: dict[str, Any], epoch: int
) -> None:
    """Writes a run folder with one checkpoint, which is both the newest and the best.

    Raises:
        ValueError: if the folder already contains a run, or another process is writing
            to it.
    """
    with locks.writing(workdir, "--run"), checkpoints.open_manager(workdir) as manager:
        if manager.all_steps():
            raise ValueError(
                f"{workdir} already holds a run. Give another folder with --run."
            )
        host = jax.device_get(state)
        said = facts | {"epoch": epoch, "metrics": {}}
        checkpoints.save(manager, epoch, host, said, UNKNOWN_SELECTION)


def export_run(
    workdir: Path, newest: bool = False
) -> tuple[torch_checkpoint.TorchCheckpoint, dict[str, Any]]:
    """Returns a run as a PyTorch checkpoint, and its metadata.

    A run that averages its weights gives the averages, with which it scores, without a
    state of the optimiser, which is that of other weights; with `newest`, the weights
    that training changes and their optimiser. A run that is one file has no state of
    the optimiser either.

    Args:
        workdir: folder of a run with at least one finished epoch.
        newest: whether to export the newest epoch, to continue training from, instead
            of the best epoch on the validation split.

    Raises:
        ValueError: if there is no checkpoint, or the network is not MRM-Net.
    """
    run = trained_run.read(workdir, newest)
    if not isinstance(run.model, mrm_net.MRMNet):
        raise ValueError(
            f"{workdir}: only MRM-Net has a form for PyTorch. Export the run instead, "
            "for example with `python -m mrm_jax.export --format onnx`."
        )
    hparams = run.metadata["config"]["hparams"]
    scores_averages = run.averages_weights and not newest
    has_moments = run.given is None and not scores_averages
    weights = run.variables if scores_averages else run.state.raw_variables
    moments = train_state.moments(run.state)
    adam = torch_optimizer.Adam(
        count=int(moments.count),
        mu=moments.mu,
        nu=moments.nu,
        learning_rate=hparams["learning_rate"],
        weight_decay=hparams["weight_decay"],
    )
    selection = f"val/macro_auc_{run.metadata['config']['selection_head']}"
    checkpoint = torch_checkpoint.TorchCheckpoint(
        weights=torch_weights.to_torch(weights),
        optimizer=torch_optimizer.to_torch(adam) if has_moments else None,
        epoch=run.epoch,
        metric=run.metadata["metrics"].get(selection),
        metadata={key: run.metadata[key] for key in KEPT},
    )
    return checkpoint, run.metadata


def metadata_of(
    checkpoint: torch_checkpoint.TorchCheckpoint, path: Path
) -> Mapping[str, Any] | None:
    """Returns the metadata of the run that was converted to a file, if they are there.

    Args:
        checkpoint: content of the file.
        path: the file, for messages.

    Raises:
        ValueError: if a value is missing, has another type or is impossible.
    """
    if checkpoint.metadata is not None:
        saved_metadata.check(checkpoint.metadata, path)
    return checkpoint.metadata


def labels_of(
    saved: Mapping[str, Any] | None, given: Path | None, path: Path
) -> list[str]:
    """Returns the names of the outputs, from a text file or from the checkpoint.

    Args:
        saved: result of `metadata_of`.
        given: text file, see `read_labels`; None if the checkpoint has the labels.
        path: the checkpoint, for messages.

    Raises:
        ValueError: if neither has labels, or they differ.
    """
    named = None if given is None else read_labels(given)
    if saved is None and named is None:
        raise ValueError(
            f"{path} does not name its labels, so --labels is required. Pass a text "
            "file with one label per line, in the order of the outputs."
        )
    known = None if saved is None else list(saved["data"]["labels"])
    if named is not None and known not in (None, named):
        raise ValueError(
            f"{given} names other labels than {path}, which was trained on "
            f"{', '.join(known)}. Leave out --labels."
        )
    return named or known or []


def read_labels(path: Path) -> list[str]:
    """Reads the labels from a text file, one per line, in the order of the outputs.

    Raises:
        ValueError: if the file is empty or contains a label twice.
        OSError: if the file does not exist.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    labels = [line.strip() for line in lines if line.strip()]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice or not labels:
        raise ValueError(
            f"{path}: expected one label per line in the order of the outputs, found "
            + (f"{', '.join(twice)} more than once." if twice else "none.")
        )
    for label in labels:
        text.check_name(f"{path}: label", label)
    return labels


def _facts(
    config: ml_collections.ConfigDict,
    labels: Sequence[str],
    saved: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Returns the metadata of a new run, whose dataset may be unknown."""
    if config.data.shards is not None:
        data = shards.load(config.data.shards)
        config = run_spec.with_label_set(config, data, labels)
        return run_spec.build_run_spec(config, data=data).metadata
    described = metadata.describe_labels(labels) if saved is None else saved["data"]
    if saved is None and config.data.leads is not None:
        described["leads"] = list(leads.standard_names(tuple(config.data.leads)))
        leads.check_subset(described["leads"])
    with config.unlocked():
        config.data.label_set = described["label_set"]
        if saved is not None:  # where they were; training resumes with --config.data
            own = run_spec.saved_config(saved).data
            config.data.shards, config.data.leads = own.shards, own.leads
    return {
        "config": metadata.plain(config.to_dict()),
        "data": described,
        "versions": metadata.versions(),
        "command": "",
    }


def _check_leads(num_leads: int, named: Sequence[str] | None) -> None:
    """Checks that the leads of a network's input are known.

    Args:
        num_leads: number of leads of the weights.
        named: names of the leads; None: the twelve.

    Raises:
        ValueError: if there is another number of names.
    """
    names = named or leads.LEADS
    if len(names) != num_leads:
        raise ValueError(
            f"The network has {num_leads} leads as its input, not {len(names)} "
            f"({', '.join(map(leads.spelt, names))}). Name its leads in their order, "
            "for example with `--config.data.leads=\"('I', 'II')\"`."
        )


def _single(array: np.ndarray) -> jax.Array:
    return jax.device_put(np.asarray(array, np.float32))
