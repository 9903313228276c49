"""Training state, hyperparameters and optimiser."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import flatten_util

from mrm_jax.models import networks
from mrm_jax.runtime import kept_programs
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
    averages: dict | None = None  # of params and batch_stats; None: not kept

    @property
    def raw_variables(self) -> dict[str, Any]:
        """The network's variables, as training changes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def variables(self) -> dict[str, Any]:
        """The network's variables for scoring: the averages, if they are kept."""
        return self.raw_variables if self.averages is None else self.averages


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


def with_averages(state: TrainState, hparams: HParams) -> TrainState:
    """Moves the averages towards the variables of a state after its update.

    They are exponential moving averages: a = d · a + (1 - d) · variables, with
    d = min(average_decay, (1 + t) / (10 + t)) after t updates, so that they do not
    remember the initial weights for long. The running averages of batch norm are
    averaged alike: those of the newest weights would not fit the averaged ones.

    Args:
        state: state after an update; returned as it is if it keeps no averages.
        hparams: hyperparameters, of which only `average_decay` is read.

    References:
        Polyak and Juditsky, 1992, doi 10.1137/0330046.
    """
    if state.averages is None:
        return state
    decay = jnp.minimum(hparams.average_decay, (1 + state.step) / (10 + state.step))
    moved = jax.tree.map(
        lambda new, old: optax.incremental_update(
            new, old, (1 - decay).astype(old.dtype)
        ),
        state.raw_variables,
        state.averages,
    )
    return dataclasses.replace(state, averages=moved)


@flax.struct.dataclass
class PackedState:
    """A state between the steps of a call, with all parameters in one vector or not.

    On a GPU an optimiser updates one vector in one kernel, and the norm of its gradient
    takes two. With an array for each parameter, both take a kernel for each. A TPU
    needs more memory and code for the vector. The CPU gains nothing by it, and a call
    there is one step, so that packing and unpacking would cost more.
    docs/accelerators.md has the figures.
    """

    state: TrainState  # params, their moments and their averages are packed
    unravel: Callable[[Any], dict] | None = flax.struct.field(pytree_node=False)

    @classmethod
    def pack(cls, state: TrainState, as_vector: bool) -> "PackedState":
        """Packs a state.

        Args:
            state: a state whose parameters share one precision.
            as_vector: whether to make them one vector.
        """
        if not as_vector:
            return cls(state, None)
        unravel = flatten_util.ravel_pytree(_outputs_first(state.params))[1]
        return cls(_map_params(state, _ravel), unravel)

    def unpack(self) -> TrainState:
        """Returns the state with its parameters in arrays of their own."""
        return _map_params(self.state, self.unravelled)

    @property
    def params(self) -> dict:
        """The parameters in arrays of their own."""
        return self.unravelled(self.state.params)

    def unravelled(self, packed: Any) -> dict:
        """Returns parameters, or the like, in arrays of their own."""
        return packed if self.unravel is None else _outputs_last(self.unravel(packed))

    def ravelled(self, params: Any) -> Any:
        """Returns parameters, or the like, as they are in the packed state."""
        return params if self.unravel is None else _ravel(params)


def _ravel(params: Any) -> jax.Array:
    """Returns parameters, or the like, as one vector."""
    return flatten_util.ravel_pytree(_outputs_first(params))[0]


def _outputs_first(params: Any) -> Any:
    """Returns parameters with the kernels of convolutions as [output, tap, input].

    This is how cuDNN reads and writes them. As [tap, input, output], each of them would
    be transposed in every step, and its gradient too.
    """
    return jax.tree.map(lambda x: x.transpose(2, 0, 1) if x.ndim == 3 else x, params)


def _outputs_last(params: Any) -> Any:
    """Undoes `_outputs_first`."""
    return jax.tree.map(lambda x: x.transpose(1, 2, 0) if x.ndim == 3 else x, params)


def _map_params(state: TrainState, function: Callable[[Any], Any]) -> TrainState:
    """Applies a function to the parameters, their moments and their averages."""
    adam, averages = moments(state), state.averages
    if averages is not None:
        averages = averages | {"params": function(averages["params"])}
    adam = adam._replace(mu=function(adam.mu), nu=function(adam.nu))
    return dataclasses.replace(
        state,
        params=function(state.params),
        opt_state=(adam, *state.opt_state[1:]),
        averages=averages,
    )


def shapes(
    model: networks.Network, averaged: bool = False, num_leads: int = 12
) -> TrainState:
    """Returns the state of a model with shapes and types instead of values."""
    creator = _creator(model, num_leads, averaged)
    return creator.eval_shape(jax.ShapeDtypeStruct((2,), jnp.uint32))


def create(
    rng: jax.Array, model: networks.Network, num_leads: int = 12, averaged: bool = False
) -> TrainState:
    """Returns the state before the first step.

    Args:
        rng: raw key, [2] uint32, as from `jax.random.PRNGKey`.
        model: the network.
        num_leads: number of leads of the signals.
        averaged: whether the state keeps averages of the variables.
    """
    return _creator(model, num_leads, averaged)(rng)


@functools.lru_cache(maxsize=8)
def _creator(
    model: networks.Network, num_leads: int, averaged: bool
) -> kept_programs.KeptCall:
    """Returns a compiled function of the key that returns the state.

    The network is traced once for its shapes and its values. The forward pass, which
    initialisation does not need, is not computed.
    """

    def call(rng):
        """Returns the state before the first step."""
        init_rng, _ = jax.random.split(rng)
        signal = jnp.zeros((1, model.num_samples, num_leads))
        return begin(rng, model.init(init_rng, signal, train=False), averaged)

    identity = ("create", model, num_leads, averaged)
    return kept_programs.KeptCall(jax.jit(call), identity)


def begin(
    rng: jax.Array, variables: Mapping[str, Any], averaged: bool = False
) -> TrainState:
    """Returns the state before the first step for given variables.

    Args:
        rng: raw key, which gives the same dropout as in `create`.
        variables: "params" and "batch_stats" of a model.
        averaged: whether the state keeps averages of the variables.
    """
    _, state_rng = jax.random.split(rng)
    parts = parts_of(variables)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=state_rng,
        **parts,
        opt_state=optimizer(HParams()).init(parts["params"]),
        # Copies: a step reuses the memory of its state, which must not be shared.
        averages=jax.tree.map(jnp.copy, parts) if averaged else None,
    )


def parts_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns "params" and "batch_stats" of a network's variables.

    Linen and files leave out what is empty, as the statistics of a network without any.
    """
    return {name: variables.get(name, {}) for name in ("params", "batch_stats")}


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
