"""Tests of runs that went on with more epochs or another patience."""

import jax
import numpy as np
import pytest

from mrm_jax.metrics.scores import SplitScores
from mrm_jax.runs import alike, cross_validation, trained_run
from mrm_jax.training import run_folder, run_spec, train_state
from tests.helpers import small_runs

pytestmark = pytest.mark.usefixtures("tiny_network")

LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 1, 1]], np.uint8)


def scores(rank):
    """Returns scores whose AUC grows with their rank from 0 to 2."""
    wrong, right = np.where(LABELS == 1, 0.1, 0.9), np.where(LABELS == 1, 0.9, 0.1)
    half = np.where(np.arange(4)[:, None] < 2, right, 0.5)
    found = (wrong, half, right)[rank].astype(np.float32)
    return SplitScores(np.array(list("abcd")), LABELS, {"high": found, "low": found})


def train(workdir, shards_dir, ranks, num_epochs, **values):
    """Records epochs of the given ranks, and ends or goes on with a run."""
    config = small_runs.config(shards_dir, num_epochs)
    config.update(values)
    spec = run_spec.build_run_spec(config)
    params = {"stem": {"kernel": np.zeros((2, 2), np.float32)}}
    state = train_state.begin(jax.random.PRNGKey(0), {"params": params})
    with run_folder.RunFolder(spec, workdir) as folder:
        for rank in ranks:
            terms = {"loss": 1.0, "records_per_second": 1.0}
            folder.record(terms, scores(rank), jax.device_get(state))
    return workdir


def check(*workdirs):
    runs = [trained_run.read(workdir) for workdir in workdirs]
    alike.check(runs, cross_validation.MAY_CHANGE, "Train again.")


def test_runs_whose_best_epochs_precede_an_extension_are_alike(shards_dir, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for workdir, rank in ((first, 2), (second, 0)):
        train(workdir, shards_dir, [rank], 1)
    for workdir, rank in ((first, 0), (second, 2)):
        train(workdir, shards_dir, [rank], 2, patience=7)
    assert [trained_run.read(workdir).epoch for workdir in (first, second)] == [1, 2]
    check(first, second)


def test_seeds_whose_best_epochs_precede_an_extension_are_alike(shards_dir, tmp_path):
    workdirs = [tmp_path / str(seed) for seed in (1, 2)]
    for seed, workdir in enumerate(workdirs, 1):
        train(workdir, shards_dir, [seed], 1, seed=seed)
        train(workdir, shards_dir, [1], 2, seed=seed)
    alike.check_seeds([trained_run.read(workdir) for workdir in workdirs])


def test_a_run_that_was_not_extended_is_named(shards_dir, tmp_path):
    short = train(tmp_path / "short", shards_dir, [1], 1)
    long = train(tmp_path / "long", shards_dir, [1, 1], 2)
    with pytest.raises(
        ValueError, match=r"(?s)differ.*short: 1 epochs \(num_epochs 1, patience 0\)"
    ):
        check(short, long)


def test_an_early_stop_is_explained_by_the_patience_of_the_others(shards_dir, tmp_path):
    stopped = train(tmp_path / "stopped", shards_dir, [2, 0], 3, patience=1)
    full = train(tmp_path / "full", shards_dir, [0, 1, 2, 0], 4, patience=1)
    check(stopped, full)
    patient = train(tmp_path / "patient", shards_dir, [2, 0, 0, 0], 4)
    with pytest.raises(ValueError, match="patient: 4 epochs"):
        check(stopped, patient)


def test_the_length_of_a_schedule_is_compared(shards_dir, tmp_path):
    def scheduled(num_epochs):
        """Returns a run that stopped early."""
        config = small_runs.config(shards_dir).hparams.to_dict() | {"final_rate": 0.1}
        workdir = tmp_path / str(num_epochs)
        values = {"patience": 1, "hparams": config}
        return train(workdir, shards_dir, [2, 0], num_epochs, **values)

    with pytest.raises(ValueError, match="config.num_epochs: 3 in"):
        check(scheduled(3), scheduled(4))
