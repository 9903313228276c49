"""A flipped bit in a stored file is named, or does not matter."""

import jax
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.metrics import summary, thresholds
from mrm_jax.reports import run_report
from mrm_jax.training import checkpoints, train_state
from tests.helpers import faults, outcomes, small_reports, small_runs

TRIES = 30 * outcomes.EFFORT


def state(seed):
    rng = np.random.default_rng(seed)
    kernels = {f"k{n}": rng.normal(size=(12, 9)).astype(np.float32) for n in range(3)}
    return train_state.TrainState(
        step=np.array(seed, np.int32),
        rng=np.array([0, seed], np.uint32),
        params=kernels,
        batch_stats={"mean": rng.normal(size=9).astype(np.float32)},
        opt_state=({"count": np.array(seed, np.int32), "mu": kernels}, ()),
    )


def save(workdir, selections):
    with checkpoints.open_manager(workdir) as manager:
        for epoch, selection in enumerate(selections, 1):
            metadata = {"labels": ["AF", "RBBB"], "mean_uv": 12.5 + epoch}
            checkpoints.save(manager, epoch, state(epoch), metadata, selection)


def load(workdir):
    """Reads the best and the newest checkpoint, as prediction and training do."""
    with checkpoints.open_existing(workdir) as manager:
        return {
            epoch: (
                checkpoints.read_metadata(manager, epoch),
                checkpoints.restore(manager, epoch, state(0)),
            )
            for epoch in (checkpoints.best_epoch(manager), manager.latest_step())
        }


def same(found, expected):
    if found.keys() != expected.keys():
        return False
    return all(
        metadata == expected[epoch][0]
        and all(
            map(
                np.array_equal,
                jax.tree.leaves(arrays),
                jax.tree.leaves(expected[epoch][1]),
            )
        )
        for epoch, (metadata, arrays) in found.items()
    )


def try_flipped_bits(what, folder, scratch, read, same):
    """Reads damaged copies of a folder, and requires an error or the same content."""
    outcome = outcomes.start(
        f"A flipped bit in {what} is noticed, or changes nothing",
        "one flipped bit in a copy, which is read",
    )
    expected = read(folder)
    noticed, silent = 0, []
    for copy, place in faults.damaged_copies(folder, scratch, TRIES):
        try:
            is_same = same(read(copy), expected)
            outcome.count(wrong=not is_same)
            if not is_same:
                silent.append(place)
        except ValueError as error:
            assert str(copy) in str(error), f"{place}: {error}"
            noticed += 1
            outcome.count()
    assert not silent
    assert noticed > TRIES / 4


# Orbax leaves unfinished tasks behind when it fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_flipped_bits_in_checkpoints_are_noticed(tmp_path):
    save(tmp_path / "run", [0.9, 0.7])
    try_flipped_bits("checkpoints", tmp_path / "run", tmp_path / "s", load, same)


def test_flipped_bits_in_shards_are_noticed(tmp_path):
    def read(folder):
        data = shards.load(folder)
        data.require_intact()
        splits = [data.split("waves", s) for s in ("train", "val", "test")]
        signals = [data.signals_uv(split.rows) for split in splits]
        names = [(list(s.names), s.labels.tolist()) for s in splits]
        return data.manifest, names, np.concatenate(signals)

    def same(found, expected):
        return found[:2] == expected[:2] and np.array_equal(found[2], expected[2])

    small_runs.write_shards(tmp_path / "shards")
    try_flipped_bits("shards", tmp_path / "shards", tmp_path / "s", read, same)


def test_flipped_bits_in_scores_are_noticed(tmp_path):
    def read(folder):
        return run_report.read(folder), run_report.read_scores(folder)

    def same(found, expected):
        arrays = [
            {**small_runs.arrays(scores), "first_label": scores.first_label}
            for _, scores in (found, expected)
        ]
        return found[0] == expected[0] and all(
            np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[1]
        )

    test, val = small_reports.split(0, 40), small_reports.split(1, 30)
    evaluated = summary.Evaluated(test, thresholds.choose(val), val=val)
    names, descriptions = small_reports.NAMES, small_reports.DESCRIPTIONS
    report = run_report.compose(small_reports.FACTS, names, descriptions, evaluated)
    (tmp_path / "run").mkdir()
    run_report.write(tmp_path / "run", report, test)
    for name in (run_report.CSV_FILE, run_report.METRICS_FILE):
        (tmp_path / "run" / name).unlink()  # nothing reads them
    try_flipped_bits("scores", tmp_path / "run", tmp_path / "s", read, same)
