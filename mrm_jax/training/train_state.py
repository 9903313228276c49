"""Training state, hyperparameters and optimiser."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from mrm_jax.training import schedules
from mrm_jax.training.hparams import HParams


@flax.struct.dataclass
class TrainState:
    """The full state of a run between two steps; arrays only."""

    step: jax.Array  # [], int32, updates made so far
    rng: jax.Array  # [2], uint32, folded with the step for its dropout
    params: dict
    batch_stats: dict
    opt_state: optax.OptState


def optimizer(
    hparams: HParams, step: jax.Array | int = 0
) -> optax.GradientTransformation:
    """Returns Adam with decoupled weight decay, PyTorch's eps and betas.

    It is rebuilt inside every step, since its rates are traced values, which a sweep
    changes without recompilation.

    Args:
        hparams: hyperparameters.
        step: number of updates made before this one.

    References:
        Kingma and Ba, 2015, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.
    """
    return optax.chain(
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
        optax.add_decayed_weights(hparams.weight_decay),
        optax.scale_by_learning_rate(
            hparams.learning_rate * schedules.relative_rate(step, hparams)
        ),
    )


def shapes(model: nn.Module) -> TrainState:
    """Returns the state of a model with shapes and types instead of values."""
    return create.eval_shape(jax.random.PRNGKey(0), model)


@functools.partial(jax.jit, static_argnames=("model", "num_leads"))
def create(rng: jax.Array, model: nn.Module, num_leads: int = 12) -> TrainState:
    """Returns the state before the first step.

    The function is compiled, so that the network is traced once for its shapes and its
    values. The forward pass, which initialisation does not need, is not computed.

    Args:
        rng: raw key, [2] uint32, as from `jax.random.PRNGKey`.
        model: an MRMNet.
        num_leads: number of leads of the signals.
    """
    init_rng, _ = jax.random.split(rng)
    signal = jnp.zeros((1, model.num_samples, num_leads))
    return begin(rng, model.init(init_rng, signal, train=False))


def begin(rng: jax.Array, variables: Mapping[str, Any]) -> TrainState:
    """Returns the state before the first step for given variables.

    Args:
        rng: raw key, which gives the same dropout as in `create`.
        variables: "params" and "batch_stats" of a model.
    """
    _, state_rng = jax.random.split(rng)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=state_rng,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer(HParams()).init(variables["params"]),
    )


def num_parameters(params: Mapping[str, Any]) -> int:
    """Returns the number of learned parameters of a network.

    Args:
        params: "params" of the network: arrays or their shapes.
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def moments(state: TrainState) -> optax.ScaleByAdamState:
    """Returns Adam's count of updates and its moments, mu and nu."""
    return state.opt_state[0]


def with_moments(
    state: TrainState, count: int, mu: optax.Params, nu: optax.Params
) -> TrainState:
    """Returns the state with a count of updates and the moments of Adam."""
    count_array = jnp.asarray(count, jnp.int32)
    adam = moments(state)._replace(count=count_array, mu=mu, nu=nu)
    opt_state = (adam, *state.opt_state[1:])
    return dataclasses.replace(state, step=count_array, opt_state=opt_state)
