"""Verification that an exported file reproduces the run's scores."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from mrm_jax.data import derived_shards, shards
from mrm_jax.interop import exported_model, metadata
from mrm_jax.models import networks
from mrm_jax.runs import trained_run, weights_file
from mrm_jax.training import input_pipeline, steps

TOLERANCE = 1e-5  # largest accepted difference of a score
# By precision of the parameters in the file; float16 has 11 bits.
TOLERANCES = {weights_file.FLOAT32: TOLERANCE, weights_file.FLOAT16: 1e-2}
NUM_RECORDS = 64
FIRST_BATCHES = (1, 3)  # the remaining records form the last batch


@dataclasses.dataclass(frozen=True)
class Records:
    """Signals on which scores are compared, as stored in shards."""

    source: str  # description for log messages
    names: np.ndarray  # [record], text
    signals_uv: np.ndarray  # [record, time, lead], int16

    @property
    def signals_mv(self) -> np.ndarray:
        """Signals as input of an exported file: [record, time, lead], float32."""
        return self.signals_uv.astype(np.float32) * np.float32(metadata.MV_PER_UV)


def of_shards(data: shards.Shards, leads: Sequence[str] | None = None) -> Records:
    """Returns the first records of the test fold.

    Args:
        data: shards with the leads of the network.
        leads: the leads of the network. Default: all.

    Raises:
        ValueError: if the test fold is empty.
    """
    data = data if leads is None else derived_shards.select_leads(data, leads)
    folds = data.manifest.split_folds["test"]
    rows = np.flatnonzero(np.isin(data.folds, folds))[:NUM_RECORDS]
    if not len(rows):
        raise ValueError(f"{data.folder}: found no records in the test folds {folds}.")
    source = f"{len(rows)} records of {data.folder}"
    data.require_intact()
    return Records(source, data.names[rows], data.signals_uv(rows))


def of_noise(run: trained_run.TrainedRun, seed: int = 0) -> Records:
    """Returns noise with the mean and standard deviation of the training records."""
    rng = np.random.default_rng(seed)
    shape = (NUM_RECORDS, run.model.num_samples, len(run.data["leads"]))
    noise = rng.normal(run.data["mean_uv"], run.data["std_uv"], shape)
    limits = np.iinfo(np.int16)
    signals_uv = noise.clip(limits.min, limits.max).astype(np.int16)
    names = np.array([f"noise {number}" for number in range(NUM_RECORDS)])
    return Records(f"{NUM_RECORDS} noise signals", names, signals_uv)


def own_scores(
    run: trained_run.TrainedRun, model: networks.Network, records: Records
) -> dict[str, np.ndarray]:
    """Computes the run's scores for records, in the same way as its evaluation.

    Args:
        run: trained run that provides weights and normalisation statistics.
        model: the run's network, or the same network in another precision.
        records: records with the run's sampling rate and length.

    Returns:
        Scores by output name, each [record, label].
    """
    num_records = len(records.names)
    held = input_pipeline.Records.of(
        signals_uv=records.signals_uv,
        labels=np.zeros((num_records, len(run.labels)), np.uint8),
        mean_uv=np.float32(run.data["mean_uv"]),
        std_uv=np.float32(run.data["std_uv"]),
    )

    def score(state, held, rows):
        """Computes the scores of both branches."""
        with jax.default_matmul_precision("highest"):
            batch = input_pipeline.take(held, rows)
            return steps.predict_step(state.variables, batch, model=model)

    rows = np.arange(num_records, dtype=np.int32)
    branches = jax.device_get(jax.jit(score)(run.state, held, rows))
    return exported_model.named_scores(model, branches)


def batch_sizes(num_records: int) -> list[int]:
    """Returns the number of records in each call of an exported file."""
    ends = [*np.cumsum(FIRST_BATCHES).clip(max=num_records).tolist(), num_records]
    sizes = np.diff([0, *ends]).tolist()
    return [size for size in sizes if size]


def scores(
    score: exported_model.Score, signals_mv: np.ndarray
) -> dict[str, np.ndarray]:
    """Computes a file's outputs for all signals, in batches of different sizes."""
    ends = np.cumsum(batch_sizes(len(signals_mv)))[:-1]
    parts = [score(batch) for batch in np.split(signals_mv, ends)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def largest_difference(
    found: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]
) -> float:
    """Returns the largest absolute difference of two sets of outputs.

    It is NaN if any output is NaN.
    """
    return float(max(np.abs(found[name] - own[name]).max() for name in own))


def compare(
    found: Mapping[str, np.ndarray],
    own: Mapping[str, np.ndarray],
    names: np.ndarray,
    labels: tuple[str, ...],
    tolerance: float = TOLERANCE,
) -> float:
    """Returns the largest difference between a file's scores and the run's own.

    Args:
        found: outputs of the file by name, [record, label].
        own: outputs of the run by name, [record, label].
        names: record names, [record].
        labels: label names, [label].
        tolerance: largest accepted difference of a score.

    Raises:
        ValueError: if the difference exceeds the tolerance; says where.
    """
    for output, expected in own.items():
        if found[output].shape != expected.shape:
            raise ValueError(
                f"{output}: expected scores of shape {list(expected.shape)}, found "
                f"{list(found[output].shape)}."
            )
        apart = np.abs(found[output] - expected)
        wrong = ~(apart <= tolerance)  # NaN is wrong, too
        if wrong.any():
            worst = np.where(np.isnan(apart), np.inf, apart).argmax()
            record, label = np.unravel_index(worst, apart.shape)
            raise ValueError(
                f"{output} of {names[record]}, {labels[label]}: the run gives "
                f"{expected[record, label]:.7f}, but the file gives "
                f"{found[output][record, label]:.7f}. {int(wrong.sum())} of "
                f"{wrong.size} scores differ by more than {tolerance:g}. Nothing was "
                "written. Please report this."
            )
    return largest_difference(found, own)
