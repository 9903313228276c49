"""Scoring of a split, on all devices and with every record scored exactly once."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from mrm_jax.data import shards
from mrm_jax.metrics import classification
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.models import folding, networks
from mrm_jax.runtime import devices, kept_programs, preemption, progress
from mrm_jax.training import input_pipeline, run_spec, steps, train_state

Track = Callable[[Iterable[Any], int], Iterable[Any]]


def predict_steps(
    state: train_state.TrainState,
    records: input_pipeline.Records,
    rows: jax.Array,
    *,
    model: networks.Network,
) -> dict[str, jax.Array]:
    """Returns the scores [step, batch, label] of each branch, by its name."""
    variables = folding.fold(model, state.variables)

    def body(carry, batch_rows):
        """Scores one batch; there is nothing to carry."""
        batch = input_pipeline.take(records, batch_rows)
        return carry, steps.predict_step(variables, batch, model=model)

    return devices.loop(body, None, rows)[1]


@functools.lru_cache(maxsize=8)
def mapped(model: networks.Network) -> kept_programs.KeptCall:
    """Returns `predict_steps` mapped over the devices."""
    call = functools.partial(predict_steps, model=model)
    return devices.map_and_keep(call, ("score", model))


def predict(
    model: networks.Network,
    state: train_state.TrainState,
    loader: input_pipeline.SplitLoader,
    batch_size: int,
    track: Track = lambda calls, total: calls,
) -> SplitScores:
    """Returns the scores of every record of a split, in its order.

    Args:
        model: the network; its scoring is compiled once.
        state: replicated state.
        loader: loader of the split.
        batch_size: number of records scored at once, over all devices.
        track: function of the calls and their number that yields the calls and shows
            progress.
    """
    rows = input_pipeline.sequential_batches(len(loader), batch_size)
    parts = []
    for call in track(loader.calls(rows), loader.num_calls(rows)):
        shares = mapped(model)(state, *call)
        parts.append({b: devices.gather_batch(shares[b], batch_size) for b in shares})
    return split_scores(loader, parts)


def split_scores(
    loader: input_pipeline.SplitLoader, parts: Sequence[Mapping[str, np.ndarray]]
) -> SplitScores:
    """Joins the scores of batches to those of a split, in its order.

    Args:
        loader: loader of the split.
        parts: for each call, the scores [step, batch, label] of each branch, with
            padding in the last batch.

    Raises:
        ValueError: if the shards are damaged. They are compared with their hashes in
            the background, and no score is returned before that is done.
    """
    loader.require_intact()
    joined = {b: np.concatenate([part[b] for part in parts]) for b in parts[0]}
    split = loader.split
    return SplitScores(
        names=split.names,
        labels=split.labels,
        branches={
            branch: scores.reshape(-1, scores.shape[-1])[: len(loader)]
            for branch, scores in joined.items()
        },
        first_label=split.first_label,
    )


def score(
    spec: run_spec.RunSpec,
    state: train_state.TrainState,
    split: str,
    handler: preemption.PreemptionHandler,
) -> SplitScores:
    """Returns the scores of every record of a split, in its order.

    Args:
        spec: specification of the run. Its data need not be those of training.
        state: replicated state.
        split: name of a split with records; no label needs to have both classes.
        handler: preemption handler, which may stop the scoring.

    Raises:
        ValueError: if the split has no record with a label of the label set.
        preemption.Preempted: if the scoring was preempted.
    """
    records = spec.data.split(spec.label_set, split)
    if not len(records):
        raise ValueError(
            f"{spec.data.folder}: no {split} record has a label of {spec.label_set}. "
            "Choose another split or other shards."
        )
    track = handler.raise_when_preempted(progress.tracker(f"scoring {split}"))
    fed = _loader(spec, records)
    return predict(spec.model, state, fed, spec.batch_size, track)


def loaders(
    spec: run_spec.RunSpec,
) -> tuple[input_pipeline.SplitLoader, input_pipeline.SplitLoader]:
    """Returns the loaders of the training and the validation split.

    Raises:
        ValueError: as in `loader`.
    """
    train_loader = loader(spec, "train")
    taken = train_loader.signal_bytes() if train_loader.resident else 0
    return train_loader, loader(spec, "val", taken)


def loader(
    spec: run_spec.RunSpec, split: str, taken: int = 0
) -> input_pipeline.SplitLoader:
    """Returns the loader of a split for a training run.

    Args:
        spec: specification of the run.
        split: name of the split.
        taken: number of bytes of each device that signals occupy already.

    Raises:
        ValueError: if the split has no records, or if its macro AUC would be undefined.
            The test split may have an undefined macro AUC.
    """
    records = spec.data.split(spec.label_set, split)
    needs_both_classes = split != "test"
    if not len(records):
        folds = ", ".join(map(str, spec.data.manifest.split_folds[split]))
        raise ValueError(
            f"{spec.data.folder}: no record of {spec.label_set} is in {split} (fold "
            f"{folds}). Use shards that have some, or choose other folds with "
            f"`--config.data.folds.{split}`."
        )
    if needs_both_classes and not classification.has_both_classes(records.labels).any():
        raise ValueError(
            f"{spec.data.folder}: no label of {spec.label_set} is both present and "
            f"absent in the {len(records)} {split} records. Use shards with more "
            "records."
        )
    return _loader(spec, records, taken)


def _loader(
    spec: run_spec.RunSpec, records: shards.Split, taken: int = 0
) -> input_pipeline.SplitLoader:
    limit = spec.resident_bytes
    if limit is None:
        limit = devices.resident_bytes()
    return input_pipeline.SplitLoader(
        spec.data, records, spec.described_labels, max(0, limit - taken)
    )
