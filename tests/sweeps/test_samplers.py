import numpy as np
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments import base
from mrm_jax.sweeps import samplers, search_space

MIXED = search_space.check(
    {
        "hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "hparams.dropout_rate": FloatDistribution(0, 0.5, step=0.25),
        "hparams.temperature": CategoricalDistribution([1.0, 4.0]),
        "seed": IntDistribution(1, 1000, log=True),
        "hparams.weight_decay": FloatDistribution(0, 0.1),
    },
    base.get_config(),
)
GRID = search_space.check(
    {
        "hparams.dropout_rate": FloatDistribution(0, 0.5, step=0.25),
        "hparams.temperature": CategoricalDistribution([1.0, 4.0]),
        "seed": IntDistribution(1, 2),
        "model.width": CategoricalDistribution([8, 16]),
    },
    base.get_config(),
)


def points(kind, space, count, seed=3):
    return [samplers.point(kind, space, rank, seed) for rank in range(count)]


@pytest.mark.parametrize("kind", ["random", "sobol"])
def test_points_lie_in_the_space_and_spread(kind):
    found = points(kind, MIXED, 64)
    for name, distribution in MIXED.traced.items():
        values = [point[name] for point in found]
        for value in values:
            assert distribution._contains(distribution.to_internal_repr(value)), value
    assert {p["hparams.dropout_rate"] for p in found} == {0, 0.25, 0.5}
    assert {p["hparams.temperature"] for p in found} == {1.0, 4.0}
    # Half of a log-uniform range lies below its geometric mean.
    below = sum(p["hparams.learning_rate"] < 1e-3 for p in found)
    assert abs(below - 32) <= (1 if kind == "sobol" else 16)
    below = sum(p["seed"] <= 31 for p in found)
    assert abs(below - 32) <= (4 if kind == "sobol" else 16)


def test_sobol_points_fill_every_stratum_once():
    decays = [p["hparams.weight_decay"] for p in points("sobol", MIXED, 32)]
    assert sorted(int(decay / 0.1 * 32) for decay in decays) == list(range(32))


@pytest.mark.parametrize("kind", ["random", "sobol", "grid"])
def test_points_depend_on_seed_and_rank_alone(kind):
    space = GRID if kind == "grid" else MIXED
    assert points(kind, space, 6) == points(kind, space, 6)
    assert points(kind, space, 6) != points(kind, space, 6, seed=4)


def test_a_grid_has_every_point_once():
    found = points("grid", GRID, 12)
    assert len({tuple(sorted(point.items())) for point in found}) == 12
    assert all(set(point) == set(GRID.traced) for point in found)


def test_only_a_grid_is_finite():
    assert samplers.limit("grid", GRID, 1000) == 24
    assert samplers.limit("grid", GRID, 10) == 10
    assert samplers.limit("sobol", GRID, 1000) == 1000


@pytest.mark.parametrize("kind", samplers.SAMPLERS)
@pytest.mark.parametrize("traced", [{}, {"seed": IntDistribution(3, 3)}])
def test_a_program_in_which_nothing_varies_is_trained_once(kind, traced):
    widths = CategoricalDistribution([8, 16, 32])
    space = search_space.check({"model.width": widths, **traced}, base.get_config())
    assert samplers.limit(kind, space, 32) == 3


def test_a_grid_of_too_many_points_raises():
    seeds = {"seed": IntDistribution(0, 2**31 - 3000)}
    space = search_space.check(seeds, base.get_config())
    with pytest.raises(ValueError, match=r"The grid of seed has 2,147,480,649 points"):
        samplers.check("grid", space)
    samplers.check("random", space)


def test_an_infinite_grid_raises():
    with pytest.raises(ValueError, match=r"learning_rate, hparams\.weight_decay: give"):
        samplers.check("grid", MIXED)


def test_unknown_names_raise():
    with pytest.raises(ValueError, match="sampler: expected one of .*sobol.*'cma'"):
        samplers.check("cma", MIXED)
    with pytest.raises(ValueError, match="pruner: expected one of .*hyperband.*'asha'"):
        samplers.make_pruner("asha", 9)


def test_random_points_of_neighbouring_ranks_are_uncorrelated():
    decays = np.array([p["hparams.weight_decay"] for p in points("random", MIXED, 200)])
    assert abs(np.corrcoef(decays[1:], decays[:-1])[0, 1]) < 0.2
