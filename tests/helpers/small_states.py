"""Small networks and their states, compiled quickly."""

import functools

import jax

from mrm_jax.models.mrm_net import network
from mrm_jax.training import train_state
from tests.helpers import small_runs, tiny_network

MODEL = network.MRMNet(
    num_labels=len(small_runs.LABELS), num_samples=small_runs.NUM_SAMPLES, width=4
)
TINY = tiny_network.TinyNetwork(len(small_runs.LABELS), small_runs.NUM_SAMPLES)


@functools.cache
def _compiled(model):
    # Run only once or twice, so optimising would cost more time than it saves.
    options = {"xla_backend_optimization_level": 0}
    create = functools.partial(train_state.create, model=model)
    return jax.jit(create, compiler_options=options)


def create(model=MODEL, seed=0):
    return _compiled(model)(jax.random.PRNGKey(seed))
