"""Samplers, which choose the values of a trial, and pruners, which stop bad ones."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import scipy  # it loads its packages when they are used
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from mrm_jax.sweeps import search_space
from mrm_jax.sweeps.search_space import Space, Value

SAMPLERS = ("tpe", "random", "grid", "sobol")
PRUNERS = ("hyperband", "none")
MAX_GRID = 10**7  # points of a grid, which are put in a random order in memory
REDUCTION_FACTOR = 3  # of three trials at a rung of Hyperband, one goes on


def check(kind: str, space: Space) -> None:
    """Checks that a sampler exists and suits the space.

    Raises:
        ValueError: if it does not; lists what does.
    """
    if kind not in SAMPLERS:
        raise ValueError(f"sampler: expected one of {SAMPLERS}, got {kind!r}")
    if kind != "grid":
        return
    endless = [n for n, d in space.traced.items() if search_space.choices(d) is None]
    if endless:
        raise ValueError(
            f"A grid needs finitely many values of {', '.join(endless)}: give a step, "
            "list the values (CategoricalDistribution), or use another sampler."
        )
    points = math.prod(_grid_shape(space))
    if points > MAX_GRID:
        raise ValueError(
            f"The grid of {', '.join(space.traced)} has {points:,} points, but at most "
            f"{MAX_GRID:,} are supported. Use a larger step, fewer values or another "
            "sampler, such as --sampler=random."
        )


def limit(kind: str, space: Space, trials: int) -> int:
    """Returns how many trials there are to train.

    A grid is finite. Where nothing varies within a program, another trial of the
    program would be the same run again, whatever the sampler.
    """
    shape = _grid_shape(space)
    if kind != "grid" and any(size != 1 for size in shape):
        return trials
    return min(trials, len(space.programs) * math.prod(shape))


def make_pruner(kind: str, num_epochs: int) -> optuna.pruners.BasePruner:
    """Returns the pruner, which decides after each epoch whether a trial goes on.

    Raises:
        ValueError: if the pruner does not exist.

    References:
        Li et al., 2018, Hyperband, JMLR 18(185); in Optuna's asynchronous form.
    """
    if kind == "none":
        return optuna.pruners.NopPruner()
    if kind != "hyperband":
        raise ValueError(f"pruner: expected one of {PRUNERS}, got {kind!r}")
    return optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=num_epochs, reduction_factor=REDUCTION_FACTOR
    )


def make_sampler(
    kind: str, space: Space, program: int, rank: int, seed: int
) -> optuna.samplers.BaseSampler:
    """Returns the sampler of one trial's values.

    TPE learns from the metrics reported so far. The values of the other samplers
    depend on seed and rank alone. So each point is trained exactly once, whichever
    workers request or lose it, and every program gets the same points and can be
    compared.

    Args:
        kind: one of SAMPLERS.
        space: search space of the sweep.
        program: index into the space's programs.
        rank: index of the trial in its program.
        seed: seed of the sampler.

    References:
        Bergstra et al., 2011 (TPE); Owen, 1998 (scrambled Sobol points).
    """
    if kind != "tpe":
        return _Point(point(kind, space, rank, seed))
    # An independent random stream for each trial, whichever worker samples it.
    own_seed = int(np.random.SeedSequence([seed, program, rank]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(
            dict(space.programs[program]), optuna.samplers.TPESampler(seed=own_seed)
        )


def point(kind: str, space: Space, rank: int, seed: int) -> dict[str, Value]:
    """Returns the traced values of a trial from a sampler that does not learn."""
    traced = space.traced
    if kind == "grid":
        return _grid_point(space, rank, seed)
    if kind == "random":
        unit = np.random.default_rng([seed, rank]).random(len(traced))
    else:
        unit = _sobol_point(len(traced), rank, seed)
    return {
        name: _at(distribution, float(quantile))
        for (name, distribution), quantile in zip(traced.items(), unit, strict=True)
    }


def suggest(
    trial: optuna.Trial, distributions: Mapping[str, BaseDistribution]
) -> dict[str, Value]:
    """Returns the values of an attempt; samples those that it does not have yet."""
    return {name: _suggest(trial, name, d) for name, d in distributions.items()}


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Value:
    match distribution:
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
    return trial.suggest_categorical(name, search_space.choices(distribution) or ())


def _grid_shape(space: Space) -> list[int]:
    return [len(search_space.choices(d) or ()) for d in space.traced.values()]


def _grid_point(space: Space, rank: int, seed: int) -> dict[str, Value]:
    """Returns the rank-th point of the grid in a random order.

    The order makes any prefix of the grid cover the whole space.
    """
    shape = _grid_shape(space)
    if not shape:
        return {}
    order = np.random.default_rng(seed).permutation(math.prod(shape))
    indices = np.unravel_index(order[rank], shape)
    return {
        name: (search_space.choices(distribution) or ())[int(index)]
        for (name, distribution), index in zip(
            space.traced.items(), indices, strict=True
        )
    }


def _sobol_point(dimensions: int, rank: int, seed: int) -> np.ndarray:
    """Returns the rank-th point of a scrambled Sobol sequence, in [0, 1)."""
    if dimensions == 0:
        return np.zeros(0)
    engine = scipy.stats.qmc.Sobol(dimensions, rng=np.random.default_rng(seed))
    if rank:
        engine.fast_forward(rank)
    return engine.random(1)[0]


def _at(distribution: BaseDistribution, quantile: float) -> Value:
    """Returns the value at a quantile in [0, 1) of a distribution."""
    match distribution:
        case FloatDistribution(step=None, low=low, high=high, log=log):
            if log:
                return math.exp(math.log(low) + quantile * math.log(high / low))
            return low + quantile * (high - low)
        case IntDistribution(log=True, low=low, high=high):
            # Half a step beyond both ends, so that these are as likely as the others.
            start, end = math.log(low - 0.5), math.log(high + 0.5)
            return min(
                max(round(math.exp(start + quantile * (end - start))), low), high
            )
    listed = search_space.choices(distribution) or ()
    return listed[int(quantile * len(listed))]


class _Point(optuna.samplers.BaseSampler):
    """Returns the values of one fixed point."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Returns nothing, as each value is requested by its name."""
        return {}

    def sample_relative(
        self, study: Any, trial: Any, search_space: Any
    ) -> dict[str, Any]:
        """Returns nothing, as each value is requested by its name."""
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """Returns the value of a name."""
        return self._values[param_name]
