"""Views of shards with other splits, or with labels made of those on disk."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mrm_jax.data import leads, shards, splits

STATISTICS_RECORDS = 256  # records read at once to compute mean and deviation


def with_folds(
    data: shards.Shards, split_folds: splits.SplitFolds, label_set: str
) -> shards.Shards:
    """Returns shards with other folds for training, validation and test.

    Numbers of records, mean and standard deviation are computed again, the latter over
    the signals of the new training records. The result has no other label set.

    Args:
        data: the shards.
        split_folds: split -> its folds, see `splits.complete`.
        label_set: name of the label set that is used.

    Raises:
        ValueError: if the shards have no such label set.
    """
    entry, matrix = data.label_set(label_set), data.label_matrix(label_set)
    rows = data.rows_by_split(label_set, split_folds)
    mean, std = _mean_std(data, rows["train"])
    entry = dataclasses.replace(
        entry.with_counts(matrix, rows), mean_uv=mean, std_uv=std
    )
    return data.derived(
        dataclasses.replace(
            data.manifest,
            split_folds=dict(split_folds),
            label_sets={label_set: entry},
        )
    )


def with_labels(
    data: shards.Shards, label_set: str, columns: Mapping[str, Sequence[str]]
) -> shards.Shards:
    """Returns shards with one label set, made of labels of another one.

    Records without any of the new labels are negatives, if they belong to the given
    label set.

    Args:
        data: the shards.
        label_set: name of the label set.
        columns: new label -> labels of the set, of which a record needs one.

    Raises:
        ValueError: if the shards have no such label set.
    """
    entry, matrix = data.label_set(label_set), data.label_matrix(label_set)
    parts = [
        matrix[:, [entry.labels.index(name) for name in names]].max(axis=1)
        for names in columns.values()
    ]
    used = np.full(len(matrix), entry.with_negatives) | matrix.any(axis=1)
    labelled = shards.LabelledRecords(np.stack(parts, axis=1), used)
    name = f"{label_set} (mapped)"
    described = dataclasses.replace(
        entry,
        labels=tuple(columns),
        descriptions=tuple(" or ".join(names) for names in columns.values()),
        has_first_label=False,
        with_negatives=True,
    )
    manifest = dataclasses.replace(data.manifest, label_sets={name: described})
    rows = data.derived(manifest, labelled).rows_by_split(name, manifest.split_folds)
    counted = described.with_counts(labelled.matrix, rows)
    return data.derived(
        dataclasses.replace(manifest, label_sets={name: counted}), labelled
    )


def with_leads(
    data: shards.Shards, names: Sequence[str], label_set: str
) -> shards.Shards:
    """Returns shards with some of the leads.

    Mean and standard deviation are computed again, over the training records. The
    result has no other label set.

    Args:
        data: the shards.
        names: standard names of leads, in the order of the result.
        label_set: name of the label set that is used.

    Raises:
        ValueError: if the shards lack a lead, or one is named twice.
    """
    selected = select_leads(data, names)
    rows = data.rows_by_split(label_set, data.manifest.split_folds)
    found = with_mean_std(selected, label_set, *_mean_std(selected, rows["train"]))
    own = {label_set: found.label_set(label_set)}
    return found.derived(dataclasses.replace(found.manifest, label_sets=own))


def select_leads(data: shards.Shards, names: Sequence[str]) -> shards.Shards:
    """Returns shards with some of the leads, and the statistics of all of them.

    Args:
        data: the shards.
        names: standard names of leads, in the order of the result.

    Raises:
        ValueError: if the shards lack a lead, or one is named twice.
    """
    leads.check_subset(names, data.manifest.leads)
    return data.derived(dataclasses.replace(data.manifest, leads=tuple(names)))


def with_mean_std(
    data: shards.Shards, label_set: str, mean_uv: float, std_uv: float
) -> shards.Shards:
    """Returns shards whose signals are standardised with other statistics.

    Args:
        data: the shards.
        label_set: name of the label set that is used.
        mean_uv: mean, microvolts.
        std_uv: standard deviation, microvolts.
    """
    entry = dataclasses.replace(
        data.label_set(label_set), mean_uv=mean_uv, std_uv=std_uv
    )
    changed = data.manifest.label_sets | {label_set: entry}
    return data.derived(dataclasses.replace(data.manifest, label_sets=changed))


def _mean_std(data: shards.Shards, rows: np.ndarray) -> tuple[float, float]:
    total = squares = count = 0
    for start in range(0, len(rows), STATISTICS_RECORDS):
        part = data.signals_uv(rows[start : start + STATISTICS_RECORDS])
        wide = part.astype(np.int64)
        total += int(wide.sum())
        squares += int((wide * wide).sum())
        count += part.size
    return splits.mean_std(total, squares, count)
