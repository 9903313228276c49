"""Everything a step changes, and the optimiser that changes it."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class HParams:
    """Floats that a sweep may vary: they are traced, a new value never recompiles.

    The defaults are the recipe of the authors' code.
    """

    learning_rate: jax.Array | float = 1e-3
    weight_decay: jax.Array | float = 0.0  # decoupled, as in AdamW; 0 is Adam
    high_weight: jax.Array | float = 1.0  # of the high branch's cross-entropy
    low_weight: jax.Array | float = 1.0  # of the low branch's cross-entropy
    feature_weight: jax.Array | float = 0.01  # of the features' mutual term
    logit_weight: jax.Array | float = 0.1  # of the logits' mutual term
    temperature: jax.Array | float = 4.0  # softens both mutual terms
    dropout_rate: jax.Array | float = 0.2  # in the multi-scale blocks
    label_smoothing: jax.Array | float = 0.0  # 0: labels as they are; 1: all one half


@flax.struct.dataclass
class TrainState:
    """The full state of a run between two steps; arrays only."""

    step: jax.Array  # [], int32, updates made so far
    rng: jax.Array  # [2], uint32, folded with the step for each step's dropout
    params: dict
    batch_stats: dict
    opt_state: optax.OptState


def optimizer(hparams: HParams) -> optax.GradientTransformation:
    """Returns Adam with decoupled weight decay, PyTorch's eps and betas.

    Built anew inside every step, since its rates are traced values: a sweep changes
    them without a new compilation.

    References:
        Kingma and Ba, 2015, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.
    """
    return optax.chain(
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
        optax.add_decayed_weights(hparams.weight_decay),
        optax.scale_by_learning_rate(hparams.learning_rate),
    )


def shapes(model: nn.Module) -> TrainState:
    """Returns the state of a model with shapes and types instead of numbers."""
    return create.eval_shape(jax.random.PRNGKey(0), model)


@functools.partial(jax.jit, static_argnames=("model", "num_leads"))
def create(rng: jax.Array, model: nn.Module, num_leads: int = 12) -> TrainState:
    """Returns the state before the first step.

    Compiled, so that the network is traced once for its shapes and its numbers, and
    that the forward pass, of which they need nothing, is not computed.

    Args:
        rng: a raw key, [2] uint32, as of `jax.random.PRNGKey`.
        model: an MRMNet.
        num_leads: of the signals.
    """
    init_rng, _ = jax.random.split(rng)
    signal = jnp.zeros((1, model.num_samples, num_leads))
    return begin(rng, model.init(init_rng, signal, train=False))


def begin(rng: jax.Array, variables: Mapping[str, Any]) -> TrainState:
    """Returns the state before the first step from given variables.

    Args:
        rng: as in `create`, which has the same dropout from it.
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


def moments(state: TrainState) -> optax.ScaleByAdamState:
    """Returns Adam's count of updates and its moments, mu and nu."""
    return state.opt_state[0]


def with_moments(
    state: TrainState, count: int, mu: optax.Params, nu: optax.Params
) -> TrainState:
    """Returns the state after `count` updates that left these moments."""
    count_array = jnp.asarray(count, jnp.int32)
    adam = moments(state)._replace(count=count_array, mu=mu, nu=nu)
    opt_state = (adam, *state.opt_state[1:])
    return dataclasses.replace(state, step=count_array, opt_state=opt_state)
