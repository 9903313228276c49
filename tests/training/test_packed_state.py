"""Steps in a loop, as accelerators take them, equal steps one after another."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from mrm_jax.training import epoch, input_pipeline, train_state
from mrm_jax.training.hparams import HParams
from mrm_jax.training.inherited import Inherited
from tests.helpers import float64, tiny_network

pytestmark = pytest.mark.slow

MODEL = tiny_network.TinyNetwork(num_labels=3, num_samples=40)
HPARAMS = HParams(weight_decay=0.1, clip_norm=0.5, average_decay=0.9)
NEW = frozenset({("high_logits", "kernel"), ("high_logits", "bias")})
INHERITED = Inherited(NEW, frozen=("low_conv",))


@pytest.fixture(scope="module")
def state():
    with jax.enable_x64(True):
        found = train_state.create(jax.random.PRNGKey(0), MODEL, averaged=True)
        yield float64.widen(jax.device_get(found))


@pytest.fixture(scope="module")
def records():
    rng = np.random.default_rng(0)
    signals = rng.integers(-500, 500, (12, 40, 12)).astype(np.int16)
    labels = rng.integers(0, 2, (12, 3)).astype(np.uint8)
    return input_pipeline.Records.of(signals, labels, np.float64(3), np.float64(250))


def trained(state, records, backend, inherited):
    """Returns the state after four steps, and their terms."""
    rows = np.arange(12, dtype=np.int32).reshape(2, 6)[[0, 1, 1, 0]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: backend)
        call = jax.jit(
            lambda *given: epoch.train_steps(*given, model=MODEL, inherited=inherited)
        )
        return call(state, records, rows, HPARAMS)


@pytest.fixture(scope="module")
def single_steps(state, records):
    """Returns the same of steps one after another, taken once for each argument."""
    return functools.cache(functools.partial(trained, state, records, "cpu"))


@pytest.mark.parametrize("backend", ["gpu", "tpu"])
@pytest.mark.parametrize("inherited", [None, INHERITED])
def test_steps_in_a_loop_equal_single_steps(
    state, records, single_steps, inherited, backend
):
    rolled = trained(state, records, backend, inherited)
    single = single_steps(inherited)
    assert jax.tree.structure(rolled) == jax.tree.structure(single)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 1e-9, 1e-12), *(rolled, single)
    )
    moved = np.abs(
        rolled[0].params["high_conv"]["kernel"] - state.params["high_conv"]["kernel"]
    )
    assert moved.max() > 1e-4


@pytest.mark.parametrize("averaged", [True, False])
def test_a_packed_state_unpacks_to_itself(state, averaged):
    if not averaged:
        state = dataclasses.replace(state, averages=None)
    packed = train_state.PackedState.pack(state, as_vector=True)
    assert packed.state.params.ndim == train_state.moments(packed.state).mu.ndim == 1
    for found in (packed.unpack(), train_state.PackedState.pack(state, False).unpack()):
        assert jax.tree.structure(found) == jax.tree.structure(state)
        jax.tree.map(np.testing.assert_array_equal, found, state)
