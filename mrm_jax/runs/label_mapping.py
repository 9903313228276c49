"""Evaluates a run on data with other labels, as far as these have the same meaning."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mrm_jax.data import derived_shards, label_meanings, shards
from mrm_jax.metrics import thresholds
from mrm_jax.runs.trained_run import TrainedRun
from mrm_jax.runtime import atomic, console, text
from mrm_jax.training import metadata, output_layers, run_spec

FILE = "label_map.csv"


@dataclasses.dataclass(frozen=True)
class Mapped:
    """A run and shards that were reduced to the labels that both know."""

    run: TrainedRun
    data: shards.Shards
    labels: label_meanings.LabelMap


def reduce(
    run: TrainedRun, data: shards.Shards | None, file: Path | None = None
) -> Mapped:
    """Returns a run and shards with the labels that have the same meaning in both.

    Records that have none of these labels are negatives. Of several label sets of the
    shards, the one that maps most labels of the run is used.

    Args:
        run: a trained run.
        data: shards with other labels.
        file: CSV file of a mapping. Default: the meanings of the labels.

    Raises:
        ValueError: if no label has the same meaning, there are no shards, or they are
            those of the training.
    """
    if data is None:
        raise ValueError("`--map_labels` needs the other data. Add `--data SHARDS`.")
    if _is_own(run, data):
        raise ValueError(
            f"{data.folder}: {run.workdir} was trained on these shards, which have its "
            "labels. Leave out `--map_labels`."
        )
    candidates = {
        name: _match(run, data, name, file) for name in data.manifest.label_sets
    }
    label_set = max(candidates, key=lambda name: len(candidates[name].columns))
    found = candidates[label_set]
    if not found.columns:
        raise ValueError(
            f"{data.folder}: no label means the same as one of {run.workdir} "
            f"({', '.join(run.labels)}), as far as the SNOMED CT codes in the "
            "descriptions of labels say. Pass a CSV file with the columns label (of "
            "the run) and data_label with `--map_labels FILE`."
        )
    _say(found, label_set)
    reduced = derived_shards.with_labels(data, label_set, found.columns)
    return Mapped(_reduced(run, list(found.columns)), reduced, found)


def write(folder: Path, found: label_meanings.LabelMap | None) -> None:
    """Writes which labels were compared, and which have no counterpart.

    The file is a mapping that `label_meanings.read` reads, so it can be edited.

    Args:
        folder: folder of the results.
        found: the mapping; None: there was none, so that of earlier results is removed.
    """
    if found is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    rows = [(label, one) for label, others in found.columns.items() for one in others]
    rows += [(label, "") for label in found.unmapped]
    rows += [("", label) for label in found.unused]
    with atomic.replacing(folder / FILE) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            text.write_rows(file, [label_meanings.FILE_COLUMNS, *rows])


def _is_own(run: TrainedRun, data: shards.Shards) -> bool:
    """Returns whether shards are those that a run was trained on."""
    try:
        spec = run_spec.RunSpec.from_checkpoint(run.metadata, data)
    except ValueError:  # without the labels or the leads of the run
        return False
    return spec.metadata["data"]["sha256"] == run.data["sha256"]


def _match(
    run: TrainedRun, data: shards.Shards, label_set: str, file: Path | None
) -> label_meanings.LabelMap:
    if file is not None:
        labels = data.label_set(label_set).labels
        known = [
            name for own in data.manifest.label_sets.values() for name in own.labels
        ]
        whole = label_meanings.read(file, run.labels, known)
        return whole.restricted(labels)
    return label_meanings.match(
        run.data, metadata.describe_data(data.manifest, label_set)
    )


def _reduced(run: TrainedRun, labels: Sequence[str]) -> TrainedRun:
    """Returns the run with some of its outputs only."""
    places = [run.labels.index(label) for label in labels]
    described = run.data["descriptions"]
    data = run.data | {
        "labels": list(labels),
        "descriptions": described and [described[place] for place in places],
    }
    return dataclasses.replace(
        run,
        metadata=run.metadata | {"data": data},
        thresholds={
            head: _select(chosen, places) for head, chosen in run.thresholds.items()
        },
        given=output_layers.select(run.model, run.variables, places, run.num_leads),
    )


def _select(
    chosen: thresholds.Thresholds, places: Sequence[int]
) -> thresholds.Thresholds:
    by_label = tuple(chosen.by_label[place] for place in places)
    return dataclasses.replace(chosen, by_label=by_label)


def _say(found: label_meanings.LabelMap, label_set: str) -> None:
    pairs = [
        label if others == (label,) else f"{label} = {' or '.join(others)}"
        for label, others in found.columns.items()
    ]
    console.say_facts(f"labels of {label_set} with the same meaning", pairs)
    if found.unmapped:
        console.say_facts("labels of the run without one", found.unmapped)
    if found.unused:
        console.say_facts("labels of the data that were not used", found.unused)
