"""Whether all that a space can ask for can be trained."""

from collections.abc import Sequence
from typing import Any

import ml_collections
from optuna.distributions import BaseDistribution, CategoricalDistribution

from mrm_jax import trainer
from mrm_jax.tuning import search_space, sweep_progress
from mrm_jax.tuning.search_space import Space


def check(config: ml_collections.ConfigDict, space: Space) -> None:
    """Refuses a space before anything is trained.

    Raises:
        ValueError: if a program cannot be built, or an end of what varies is no value
            of the recipe; names it.
    """
    ends = [
        {name: value}
        for name, distribution in space.traced.items()
        for value in _ends(distribution)
    ]
    for values in [*space.programs, *ends]:
        try:
            trainer.read(search_space.apply(config, values))
        except ValueError as error:
            shown = sweep_progress.written(values)
            raise ValueError(f"the space has {shown}: {error}") from None


def _ends(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return [getattr(distribution, "low", None), getattr(distribution, "high", None)]
