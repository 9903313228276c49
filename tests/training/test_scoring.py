import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices
from mrm_jax.training import input_pipeline, run_spec, scoring, train_state
from tests.helpers import small_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    folder = small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")
    data = shards.load(folder)
    loader = input_pipeline.SplitLoader(
        data, data.split("waves", "train"), data.label_set("waves")
    )
    model = network.MRMNet(
        num_labels=3, num_samples=small_runs.NUM_SAMPLES, width=4, axis_name="batch"
    )
    state = train_state.create(np.array([0, 7], np.uint32), model)
    return data, loader, model, state


@pytest.fixture(scope="module")
def scores(setup):
    _, loader, model, state = setup
    return scoring.predict(model, devices.replicate(state), loader, batch_size=12)


def test_every_record_is_scored_once_in_order(setup, scores):
    _, loader, _, _ = setup
    assert (
        len(loader) == 32
    )  # no multiple of the batch, and the batch none of 4 devices
    np.testing.assert_array_equal(scores.names, loader.split.names)
    assert scores.heads["high"].shape == scores.heads["low"].shape == (32, 3)


def test_scores_do_not_depend_on_uneven_batches(setup, scores):
    _, loader, model, state = setup
    uneven = scoring.predict(model, devices.replicate(state), loader, batch_size=11)
    np.testing.assert_allclose(uneven.heads["high"], scores.heads["high"], rtol=1e-5)
    np.testing.assert_allclose(uneven.heads["low"], scores.heads["low"], rtol=1e-5)


def test_scores_equal_the_networks_output(setup, scores):
    data, loader, model, state = setup
    label_set = data.label_set("waves")
    signal_uv = data.signals_uv(loader.split.rows[[3, 30]]).astype(np.float32)
    signal = (signal_uv - label_set.mean_uv) / label_set.std_uv
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    apply = jax.jit(functools.partial(model.apply, train=False))
    outputs = apply(variables, jnp.asarray(signal, jnp.float32))
    expected = 1 / (1 + np.exp(-np.asarray(outputs.high_logits)))
    np.testing.assert_allclose(scores.heads["high"][[3, 30]], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            None,
            r"no record of waves is in val \(fold 9\)\. .*--config\.data\.folds\.val",
        ),
        (1, "no label of waves is both present and absent in the 4 val records"),
    ],
)
def test_validation_that_cannot_choose_an_epoch_is_refused(
    tmp_path, monkeypatch, labels, message
):
    folder = small_runs.write_shards(tmp_path / "shards")
    spec = run_spec.build_run_spec(small_runs.config(folder))
    split = spec.data.split("waves", "val")
    rows = slice(0, 0) if labels is None else slice(None)
    left = dataclasses.replace(
        split,
        rows=split.rows[rows],
        names=split.names[rows],
        labels=np.full_like(split.labels, labels or 0)[rows],
    )
    monkeypatch.setattr(shards.Shards, "split", lambda *_: left)
    with pytest.raises(ValueError, match=message):
        scoring.loader(spec, "val")
