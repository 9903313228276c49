import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import network
from mrm_jax.training import train_state
from mrm_jax.training.hparams import HParams

pytestmark = pytest.mark.slow

MODEL = network.MRMNet(num_labels=3, num_samples=40, width=4)
GRADS = ([0.5, -3.0, 1e-8], [0.1, 4.0, 2e-8], [-2.0, 0.0, 1e-8])  # eps is 1e-8


def adam(hparams, param):
    """The parameters after each of GRADS, in plain NumPy."""
    param = np.array(param)
    first = second = np.zeros_like(param)
    for t, grad in enumerate(GRADS, 1):
        first = 0.9 * first + 0.1 * np.array(grad)
        second = 0.999 * second + 0.001 * np.array(grad) ** 2
        step = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        decayed = param * (1 - hparams.learning_rate * hparams.weight_decay)
        param = decayed - hparams.learning_rate * step
        yield param


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_optimizer_is_adam_with_decoupled_decay(weight_decay):
    hparams = HParams(learning_rate=0.01, weight_decay=weight_decay)
    param = jnp.array([1.0, -2.0, 0.0])
    opt_state = train_state.optimizer(hparams).init(param)
    expected = adam(hparams, param)
    for grad, wanted in zip(GRADS, expected, strict=True):
        updates, opt_state = train_state.optimizer(hparams).update(
            jnp.array(grad), opt_state, param
        )
        param = param + updates
        np.testing.assert_allclose(param, wanted, rtol=1e-5)


def test_hyperparameters_share_one_structure():
    def structure(**values):
        tx = train_state.optimizer(HParams(**values))
        return jax.tree.structure(tx.init(jnp.zeros(2)))

    assert structure() == structure(learning_rate=0.1, weight_decay=0.5)


def test_a_new_state_has_the_expected_shapes():
    state = train_state.shapes(MODEL)
    assert (state.step.shape, state.step.dtype) == ((), jnp.int32)
    assert (state.rng.shape, state.rng.dtype) == ((2,), jnp.uint32)
    assert set(state.params) == {"stem", "high_scale", "low_scale", "high", "low"}
    adam_state = state.opt_state[0]
    for moments in (adam_state.mu, adam_state.nu):
        assert jax.tree.map(lambda x: x.shape, moments) == jax.tree.map(
            lambda x: x.shape, state.params
        )
    assert all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(state))


def test_the_number_of_leads_matches_the_signals():
    state = jax.eval_shape(
        lambda rng: train_state.create(rng, MODEL, num_leads=2), jax.random.PRNGKey(0)
    )
    assert state.params["stem"]["conv1"]["kernel"].shape == (11, 2, 4)


def moved(state, value, decay):
    """Returns the state after an update to `value`, and its averages."""
    params = {"kernel": jnp.full(2, value)}
    state = dataclasses.replace(state, step=state.step + 1, params=params)
    return train_state.with_averages(state, HParams(average_decay=decay))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_averages_are_exponential_and_soon_forget_the_first_weights(decay):
    variables = {
        "params": {"kernel": jnp.zeros(2)},
        "batch_stats": {"var": jnp.ones(2)},
    }
    state = train_state.begin(jax.random.PRNGKey(0), variables, averaged=True)
    expected = 0.0
    for step, value in enumerate([1.0, 3.0, -2.0, 5.0], 1):
        state = moved(state, value, decay)
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
        found = state.variables["params"]["kernel"]
        np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6)
    np.testing.assert_array_equal(state.variables["batch_stats"]["var"], [1, 1])


def test_running_averages_of_batch_norm_are_averaged_alike():
    variables = {"params": {}, "batch_stats": {"var": jnp.ones(1)}}
    state = train_state.begin(jax.random.PRNGKey(0), variables, averaged=True)
    state = dataclasses.replace(state, step=1, batch_stats={"var": jnp.array([3.0])})
    state = train_state.with_averages(state, HParams(average_decay=0.1))
    np.testing.assert_allclose(state.variables["batch_stats"]["var"], [2.8], rtol=1e-6)


def test_a_state_without_averages_scores_with_its_weights():
    variables = {"params": {"kernel": jnp.zeros(2)}, "batch_stats": {}}
    state = train_state.begin(jax.random.PRNGKey(0), variables)
    assert train_state.with_averages(state, HParams()) is state
    assert state.variables == state.raw_variables == variables
