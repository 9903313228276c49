"""Small shards and configurations for complete runs that take seconds."""

import dataclasses
from pathlib import Path

import ml_collections
import numpy as np

from data_prep import shard_writer
from experiments import base
from mrm_jax.data import leads, manifest
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import run_report
from mrm_jax.training import metrics_log

NUM_SAMPLES = 40
LABELS = ("slow", "fast", "loud")
EPOCHS = 6  # of `train_flags`


def write_shards(
    folder: Path,
    records_per_fold: int = 4,
    seed: int = 0,
    spoilt_fold: int | None = None,
) -> Path:
    """Writes shards of waves whose period and height are the labels; returns folder.

    Records of the spoilt fold are as loud as they can be, and have no wave.
    """
    rng = np.random.default_rng(seed)
    num_records = 10 * records_per_fold
    matrix = rng.integers(0, 2, (num_records, len(LABELS))).astype(np.uint8)
    matrix[~matrix.any(axis=1), 0] = 1
    # Whatever the seed, every label is present and absent in every fold.
    matrix[:10], matrix[10:20] = (1, 0, 0), (0, 1, 1)
    folder.mkdir(parents=True)
    writer = shard_writer.Writer(folder, NUM_SAMPLES, shard_bytes=2**14)
    time = np.arange(NUM_SAMPLES)[:, None]
    folds = np.arange(num_records) % 10 + 1
    for record, (slow, fast, loud) in enumerate(matrix.tolist()):
        wave = slow * np.sin(time / 6) + fast * np.sin(time / 2)
        noise = rng.normal(0, 0.3, (NUM_SAMPLES, len(leads.LEADS)))
        signal_uv = (400 * (1 + loud) * (wave + noise)).astype(np.int16)
        is_spoilt = folds[record] == spoilt_fold
        writer.add(np.full_like(signal_uv, 32767) if is_spoilt else signal_uv)
    descriptions = tuple(f"{label} wave" for label in LABELS)
    writer.finish(
        [f"R{i:03d}" for i in range(num_records)],
        folds,
        {"waves": shard_writer.LabelTable(LABELS, descriptions, matrix)},
        skipped=[],
        facts={
            "data_set": "waves",
            "data_set_version": "1",
            "sampling_rate": 100,
            "length_policy": "made at this length",
            "sources": {},
        },
    )
    return folder


def accept_changes(folder: Path) -> None:
    """Writes the hashes of a changed folder of shards into its manifest."""
    found = manifest.read(folder)
    hashes = {name: manifest.sha256(folder / name) for name in found.files}
    manifest.write(dataclasses.replace(found, files=hashes), folder)


def config(shards_dir: Path, num_epochs: int = 2) -> ml_collections.ConfigDict:
    """Returns the base recipe on small shards, with the narrowest network."""
    result = base.get_config()
    result.name = "waves"
    result.data.shards = str(shards_dir)
    result.data.label_set = "waves"
    result.batch_size = 12
    result.num_epochs = num_epochs
    result.model.width = 4
    result.lock()
    return result


def train_flags(shards_dir: Path, workdir: Path) -> tuple[str, ...]:
    """Returns the flags of a training to be interrupted."""
    return (
        "--config=experiments/base.py",
        f"--workdir={workdir}",
        f"--config.data.shards={shards_dir}",
        "--config.data.label_set=waves",
        "--config.batch_size=12",
        f"--config.num_epochs={EPOCHS}",
    )


def arrays(scores: SplitScores) -> dict[str, np.ndarray]:
    """Returns the arrays of a split's scores by name."""
    return {"names": scores.names, "labels": scores.labels, **scores.heads}


def equal(one: Path, other: Path) -> bool:
    """Returns whether two runs have the same metrics and scores, to the digit."""
    lines = [metrics_log.read(folder) for folder in (one, other)]
    for line in (*lines[0], *lines[1]):
        del line["train/records_per_second"]
    found = [run_report.read_scores(folder) for folder in (one, other)]
    return lines[0] == lines[1] and all(
        np.array_equal(arrays(found[0])[name], arrays(found[1])[name])
        for name in arrays(found[0])
    )
