import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import branches, network
from mrm_jax.training import steps
from mrm_jax.training.hparams import AUGMENTATION, HParams
from mrm_jax.training.input_pipeline import Batch
from tests.helpers import small_states

pytestmark = pytest.mark.slow

MODEL = network.MRMNet(
    num_labels=3,
    num_samples=40,
    width=4,
    mutual_stages=branches.STAGES,
    feature_pairing="time_aligned",
    logit_divergence="bernoulli",
    exchange=True,
    eca_conv=True,
)
NO_DROPOUT = HParams(dropout_rate=0.0)


@pytest.fixture(scope="module")
def state():
    return small_states.create(MODEL)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return Batch(
        signal=jnp.asarray(rng.standard_normal((4, 40, 12)), float),
        labels=jnp.asarray([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], float),
        mask=jnp.ones(4),
    )


@pytest.fixture(scope="module")
def train_step():
    """The compiled step; `traces` counts how often it was traced."""
    traces = []

    def counted(state, batch, hparams):
        traces.append(1)
        return steps.train_step(state, batch, hparams, model=MODEL)

    compiled = jax.jit(counted)
    compiled.traces = traces
    return compiled


def equal(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def test_the_loss_falls_on_one_batch(train_step, state, batch):
    losses = []
    for _ in range(15):
        state, terms = train_step(state, batch, NO_DROPOUT)
        losses.append(float(terms["loss"]))
    assert losses[-1] < 0.7 * losses[0]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert int(state.step) == 15


def test_the_loss_is_the_weighted_sum_of_its_terms(train_step, state, batch):
    _, terms = train_step(state, batch, NO_DROPOUT)
    total = terms["bce_high"] + terms["bce_low"]
    total += 0.01 * terms["feature_kl"] + 0.1 * terms["logit_kl"]
    np.testing.assert_allclose(terms["loss"], total, rtol=1e-6)


def test_every_parameter_gets_a_gradient(train_step, state, batch):
    stepped, _ = train_step(state, batch, NO_DROPOUT)
    first_moments = jax.device_get(stepped.opt_state[0].mu)
    for path, mu in jax.tree_util.tree_leaves_with_path(first_moments):
        assert np.isfinite(mu).all() and mu.any(), jax.tree_util.keystr(path)


def test_every_running_average_is_updated(train_step, state, batch):
    stepped, _ = train_step(state, batch, NO_DROPOUT)
    before, after = jax.device_get((state.batch_stats, stepped.batch_stats))
    moved = jax.tree.map(lambda old, new: bool(np.all(old != new)), before, after)
    for path, has_moved in jax.tree_util.tree_leaves_with_path(moved):
        assert has_moved, jax.tree_util.keystr(path)


def test_the_first_adam_step_matches_values_by_hand(train_step, state, batch):
    hparams = HParams(dropout_rate=0.0, learning_rate=0.01, weight_decay=0.5)
    stepped, _ = train_step(state, batch, hparams)

    def check(old, new, mu):
        grad = mu / 0.1
        wanted = old * (1 - 0.01 * 0.5) - 0.01 * grad / (np.abs(grad) + 1e-8)
        np.testing.assert_allclose(new, wanted, rtol=1e-4, atol=1e-6)

    mu = stepped.opt_state[0].mu
    jax.tree.map(check, *jax.device_get((state.params, stepped.params, mu)))


def test_a_clipped_gradient_keeps_its_direction(train_step, state, batch):
    def gradient(clip_norm):
        hparams = HParams(dropout_rate=0.0, clip_norm=clip_norm)
        stepped, terms = train_step(state, batch, hparams)
        moments = jax.device_get(stepped.opt_state[0].mu)
        grads = jax.tree.map(lambda mu: mu / np.float32(0.1), moments)
        return grads, float(terms["grad_norm"])

    unlimited, norm = gradient(0.0)
    clipped, reported = gradient(norm / 4)
    assert reported == norm  # as it was before
    squares = sum(np.sum(np.square(grad)) for grad in jax.tree.leaves(clipped))
    np.testing.assert_allclose(np.sqrt(squares), norm / 4, rtol=1e-5)
    expected = jax.tree.map(lambda grad: grad / 4, unlimited)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4), clipped, expected)
    assert equal(gradient(2 * norm)[0], unlimited)


def test_the_schedule_scales_the_update(train_step, state, batch):
    def change(**values):
        hparams = HParams(dropout_rate=0.0, total_steps=10.0, **values)
        stepped, _ = train_step(state, batch, hparams)
        return jax.tree.map(np.subtract, stepped.params, state.params)

    half = change(warmup_fraction=0.5, initial_rate=0.5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(2 * a, b, 1e-3, 1e-6), half, change()
    )


def test_a_learning_rate_of_zero_changes_no_parameter(train_step, state, batch):
    stepped, _ = train_step(state, batch, HParams(learning_rate=0.0))
    assert equal(stepped.params, state.params)
    assert not equal(stepped.batch_stats, state.batch_stats)


def test_a_step_is_reproducible(train_step, state, batch):
    one, other = (train_step(state, batch, HParams()) for _ in range(2))
    assert equal(one, other)


@pytest.mark.parametrize("change", [{"step": 1}, {"rng": [0, 9]}])
def test_dropout_differs_by_step_and_by_run(train_step, state, batch, change):
    ((name, value),) = change.items()
    value = jnp.asarray(value, getattr(state, name).dtype)
    changed = dataclasses.replace(state, **{name: value})
    losses = [
        float(train_step(one, batch, HParams())[1]["loss"]) for one in (state, changed)
    ]
    assert losses[0] != losses[1]
    _, terms = train_step(changed, batch, NO_DROPOUT)
    _, expected = train_step(state, batch, NO_DROPOUT)
    assert equal(terms, expected)


def test_padding_has_no_influence(train_step, state, batch):
    mask = batch.mask.at[3].set(0)
    padded = dataclasses.replace(batch, mask=mask)
    garbage = dataclasses.replace(
        padded,
        signal=batch.signal.at[3].set(50),
        labels=batch.labels.at[3].set(1),
    )
    stepped, terms = train_step(state, padded, HParams())
    expected, expected_terms = train_step(state, garbage, HParams())
    for found, wanted in ((terms, expected_terms), (stepped.params, expected.params)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            found,
            wanted,
        )
    _, whole = train_step(state, batch, HParams())
    assert abs(float(whole["loss"] - terms["loss"])) > 1e-3


def test_hyperparameters_are_traced(train_step, state, batch):
    train_step(state, batch, HParams())
    before = len(train_step.traces)
    for i, field in enumerate(dataclasses.fields(HParams)):
        hparams = dataclasses.replace(HParams(), **{field.name: 0.1 + i / 50})
        train_step(state, batch, hparams)
    assert len(train_step.traces) == before


def test_every_hyperparameter_matters(train_step, state, batch):
    state = dataclasses.replace(state, step=jnp.asarray(3, state.step.dtype))
    scheduled = HParams(total_steps=10.0, final_rate=0.2)
    elsewhere = {*AUGMENTATION, "average_decay", "inherited_rate"}  # other programs
    for field in dataclasses.fields(HParams):
        if field.name in elsewhere:
            continue
        warmup = 0.4 if field.name == "initial_rate" else 0.0
        hparams = dataclasses.replace(scheduled, warmup_fraction=warmup)
        expected, _ = train_step(state, batch, hparams)
        changed = dataclasses.replace(hparams, **{field.name: 0.5})
        stepped, _ = train_step(state, batch, changed)
        assert not equal(stepped.params, expected.params), field.name


@pytest.fixture(scope="module")
def predict_step():
    return jax.jit(functools.partial(steps.predict_step, model=MODEL))


def test_scores_are_sigmoids_of_the_logits(predict_step, state, batch):
    high, low = predict_step(state.variables, batch).values()
    assert high.shape == low.shape == (4, 3)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    outputs = jax.jit(lambda v, x: MODEL.apply(v, x, train=False))(
        variables, batch.signal
    )
    for scores, logits in ((high, outputs.high_logits), (low, outputs.low_logits)):
        expected = 1 / (1 + np.exp(-np.float64(logits)))
        np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_scores_do_not_depend_on_other_records(predict_step, state, batch):
    high, low = predict_step(state.variables, batch).values()
    mixed = dataclasses.replace(batch, signal=batch.signal[jnp.array([2, 0, 0, 0])])
    other_high, other_low = predict_step(state.variables, mixed).values()
    np.testing.assert_allclose(other_high[0], high[2], rtol=1e-5)
    np.testing.assert_allclose(other_low[1:], low[jnp.zeros(3, int)], rtol=1e-5)
