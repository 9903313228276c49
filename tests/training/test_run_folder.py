import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.metrics.scores import SplitScores
from mrm_jax.training import losses, run_folder
from mrm_jax.training.hparams import HParams


def split_of(logits, labels):
    """Returns the scores of logits [branch, record, label] in float32."""
    high, low = (np.asarray(jax.nn.sigmoid(each)) for each in logits)
    names = np.array([f"r{i}" for i in range(len(labels))])
    return SplitScores.of_two(names, labels, high, low)


@pytest.mark.parametrize(
    "hparams",
    [
        HParams(),
        HParams(label_smoothing=0.1),
        HParams(positive_weight=3.0, positive_focus=1.0, negative_focus=2.0),
    ],
)
def test_the_validation_loss_is_the_training_loss_of_the_same_logits(hparams):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 40, 5)).astype(np.float32)
    labels = (rng.random((40, 5)) < 0.3).astype(np.uint8)
    found = run_folder.epoch_values({}, split_of(logits, labels), hparams)
    for branch, of_branch in zip(("high", "low"), logits, strict=True):
        expected = losses.weighted_cross_entropy(
            jnp.asarray(of_branch), jnp.asarray(labels, jnp.float32), hparams
        )
        mean = float(expected.mean())
        assert found[f"val/bce_{branch}"] == pytest.approx(mean, rel=1e-4)


def test_scores_of_0_and_1_have_a_finite_validation_loss():
    labels = np.array([[0, 1], [1, 0]], np.uint8)
    found = run_folder.epoch_values(
        {}, split_of(np.full((2, 2, 2), 200.0), labels), HParams()
    )
    assert found["val/bce_high"] == pytest.approx(-np.log(2.0**-24) / 2, rel=1e-3)
    assert found["val/bce_low"] == found["val/bce_high"]


@pytest.mark.parametrize(
    ("values", "patience", "stops"),
    [
        ([0.5, 0.6, 0.6, 0.55], 2, True),  # equal is no better
        ([0.5, 0.6, 0.6, 0.61], 2, False),
        ([0.6, 0.5, 0.5], 3, False),
        ([0.6, 0.5, 0.5], 2, True),
        ([0.6, 0.5, 0.5, 0.5], 0, False),
        ([], 1, False),
    ],
)
def test_patience_counts_epochs_without_a_better_one(values, patience, stops):
    assert run_folder.has_no_patience(values, patience) == stops
