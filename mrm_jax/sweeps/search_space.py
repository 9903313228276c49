"""The search space of a sweep, checked against a configuration and applied to it.

The experiment file of a sweep has a function `get_space` beside `get_config`. It
returns Optuna's distributions by the names that `--config.` takes:
`{"hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True)}`.
"""

import dataclasses
import decimal
import itertools
import math
import runpy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mrm_jax.data import shards
from mrm_jax.training import config as config_lib
from mrm_jax.training import ranges, run_spec

Value = bool | int | float | str | None

MAX_PROGRAMS = 32  # each is compiled, and its trials train apart from the others
WARMUP, INITIAL_RATE = "hparams.warmup_fraction", "hparams.initial_rate"
NEW_WEIGHTS = "a sweep trains from new weights"
REFUSED = {
    "data": "trials can be compared only if they use the same records",
    "init": NEW_WEIGHTS,
    "hparams.inherited_rate": NEW_WEIGHTS,
    "num_epochs": "trials are compared after the same number of epochs",
    "selection_head": "trials are compared by this head",
    "name": "it only names the folder",
}


@dataclasses.dataclass(frozen=True)
class Space:
    """The distributions of a sweep, in two parts.

    Trials that differ only in the traced part (hparams.*, seed) train together in one
    compiled program. Every combination of the other values (batch_size, model.*) has
    its own program.
    """

    distributions: Mapping[str, BaseDistribution]
    programs: tuple[Mapping[str, Value], ...]  # ({},) if no program value varies

    @property
    def traced(self) -> dict[str, BaseDistribution]:
        """The distributions that vary within a program."""
        return {
            name: distribution
            for name, distribution in self.distributions.items()
            if _is_traced(name)
        }


def load(file: str, config: ml_collections.ConfigDict) -> Space:
    """Returns the space of an experiment file, checked against its configuration.

    Args:
        file: path of the file. What follows a colon is the argument of get_config().
        config: its configuration.

    Raises:
        ValueError: if the file has no get_space, it fails, or its space is invalid.
        OSError: if the file cannot be read.
    """
    path = file.partition(":")[0]
    get_space = runpy.run_path(path).get("get_space")
    if get_space is None:
        raise ValueError(
            f"{path} has no get_space(). A sweep needs this function, which returns "
            "the search space. See experiments/sweeps/ for examples."
        )
    with config_lib.naming_errors(path):
        space = get_space()
    _check_distributions(space, path)
    return check(space, config)


def _check_distributions(space: object, path: str) -> None:
    """Checks what get_space() returned.

    Raises:
        ValueError: if it is not a dictionary of Optuna's distributions.
    """
    wrong = f"it returned {type(space).__name__}"
    if isinstance(space, Mapping):
        others = {n: d for n, d in space.items() if not _is_distribution(n, d)}
        if not others:
            return
        name, found = next(iter(others.items()))
        wrong = f"{name!r} is {found!r}"
    raise ValueError(
        f"{path}: get_space() has to return a dictionary of Optuna's distributions by "
        f'names, such as "hparams.learning_rate": FloatDistribution(1e-4, 1e-2); '
        f"{wrong}."
    )


def _is_distribution(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, BaseDistribution)


def check(
    distributions: Mapping[str, BaseDistribution], config: ml_collections.ConfigDict
) -> Space:
    """Returns a checked space of these distributions.

    Raises:
        ValueError: if nothing varies, a name does not exist or may not vary, a value
            has the wrong type, or there are more than MAX_PROGRAMS programs.
    """
    if not distributions:
        raise ValueError(
            "The space is empty. get_space() must return at least one distribution."
        )
    config_lib.check_names(config, [f"--config.{name}" for name in distributions])
    for name, distribution in distributions.items():
        _check_may_vary(name)
        _check_type(name, distribution, _get(config, name))
    # Sorted, so that every worker numbers programs and points in the same way.
    ordered = dict(sorted(distributions.items()))
    return Space(ordered, _programs(ordered))


def apply(
    config: ml_collections.ConfigDict, values: Mapping[str, Value]
) -> ml_collections.ConfigDict:
    """Returns a locked copy of a configuration with these values set."""
    changed = config.copy_and_resolve_references()
    with changed.unlocked():
        for name, value in values.items():
            *groups, last = name.split(".")
            node = changed
            for group in groups:
                node = node[group]
            node[last] = _converted(value, node[last])
    return changed.lock()


def choices(distribution: BaseDistribution) -> Sequence[Value] | None:
    """Returns all values of a distribution, or None if they are infinitely many."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices
        case IntDistribution():
            return range(distribution.low, distribution.high + 1, distribution.step)
        case FloatDistribution(step=float(step), low=low, high=high):
            # In decimals, as in Optuna: 0.1 + 2 * 0.1 would be above a high of 0.3.
            first, each = decimal.Decimal(str(low)), decimal.Decimal(str(step))
            count = round((high - low) / step) + 1
            return [float(first + i * each) for i in range(count)]
        case FloatDistribution() if distribution.single():
            return [distribution.low]
    return None


def _is_traced(name: str) -> bool:
    return name == "seed" or name.startswith("hparams.")


def _check_may_vary(name: str) -> None:
    reason = REFUSED.get(name, REFUSED.get(name.partition(".")[0]))
    if reason is not None:
        raise ValueError(f"{name} cannot vary in a sweep: {reason}")


def _get(config: ml_collections.ConfigDict, name: str) -> object:
    for group in name.split("."):
        config = config[group]
    return config


def _check_type(name: str, distribution: BaseDistribution, present: object) -> None:
    """Checks that the values have the type of the configuration's value."""
    found = _types(distribution)
    if isinstance(present, bool):
        allowed: set[type] = {bool}
    elif isinstance(present, float):
        allowed = {int, float}
    else:
        allowed = {str} if isinstance(present, tuple | list) else {type(present)}
    if not found <= allowed:
        hint = ', several as "one,other"' if isinstance(present, tuple | list) else ""
        raise ValueError(
            f"{name} is {present!r} in the experiment: expected values of "
            f"{_listed(allowed)}{hint}, got {_listed(found)} in {distribution}"
        )


def _types(distribution: BaseDistribution) -> set[type]:
    if isinstance(distribution, CategoricalDistribution):
        return {type(choice) for choice in distribution.choices}
    return {int} if isinstance(distribution, IntDistribution) else {float}


def _listed(types: set[type]) -> str:
    return " or ".join(sorted(found.__name__ for found in types))


def _programs(
    distributions: Mapping[str, BaseDistribution],
) -> tuple[Mapping[str, Value], ...]:
    """Returns every combination of the values that need a program of their own."""
    names = [name for name in distributions if not _is_traced(name)]
    lists = [list(_program_values(name, distributions[name])) for name in names]
    count = math.prod(map(len, lists))
    if count > MAX_PROGRAMS:
        raise ValueError(
            f"{', '.join(names)} make {count} programs, each compiled on its own, but "
            f"at most {MAX_PROGRAMS} are supported. Vary fewer of them, or over fewer "
            "values."
        )
    return tuple(
        dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*lists)
    )


def _program_values(name: str, distribution: BaseDistribution) -> Iterator[Value]:
    found = choices(distribution)
    if found is None:
        raise ValueError(
            f"{name} needs one program for each value, but its values are infinitely "
            "many. List them with CategoricalDistribution."
        )
    return iter(found)


def _converted(value: Value, present: object) -> object:
    """Returns a value in the type of the configuration's value."""
    if isinstance(present, tuple | list):
        return tuple(part.strip() for part in str(value).split(",") if part.strip())
    return float(value) if isinstance(present, float) and value is not None else value


def check_trainable(
    config: ml_collections.ConfigDict, space: Space, data: shards.Shards
) -> None:
    """Checks a space before anything is trained.

    Args:
        config: configuration of the sweep.
        space: its space.
        data: the open shards of the configuration.

    Raises:
        ValueError: if a program cannot be built, or the configuration rejects an end
            of a distribution in one of them; names it.
    """
    schedule = space.distributions.keys() & {WARMUP, INITIAL_RATE}
    ends = [
        {name: value}
        for name, distribution in space.traced.items()
        if name not in schedule
        for value in _ends(distribution)
    ]
    combined = [{**program, **end} for program in space.programs for end in ends]
    for values in [*space.programs, *_schedules(space), *combined]:
        try:
            spec = run_spec.build_run_spec(apply(config, values), data=data)
            if schedule <= values.keys():
                ranges.check_warmup(spec.hparams)
        except ValueError as error:
            shown = written(values)
            raise ValueError(
                f"The space contains {shown}, which is invalid: {error}"
            ) from None


def _schedules(space: Space) -> Iterator[dict[str, Value]]:
    """Yields the ends of the warm-up, each with those of its first rate.

    One has no effect without the other, so they are checked together.
    """
    names = [name for name in (WARMUP, INITIAL_RATE) if name in space.distributions]
    if names:
        lists = [_likely_ends(space.distributions[name]) for name in names]
        for values in itertools.product(*lists):
            yield dict(zip(names, values, strict=True))


def _likely_ends(distribution: BaseDistribution) -> Sequence[Any]:
    """Returns the ends, without a 0 that is one of infinitely many values."""
    ends = _ends(distribution)
    return [end for end in ends if end] if choices(distribution) is None else ends


def _ends(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return [getattr(distribution, "low", None), getattr(distribution, "high", None)]


def written(values: Mapping[str, Any]) -> str:
    """Returns the values of a trial as text, with four significant digits."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
