"""Which weights of a run were taken from another one, and how they are trained."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax

from mrm_jax.training.hparams import HParams

Path = tuple[str, ...]  # of an array: names of modules, and "kernel" or another name


@dataclasses.dataclass(frozen=True)
class Inherited:
    """Weights that do not train like new ones; hashable, as programs depend on it."""

    # Parameters that were not taken over, or not for all labels.
    new: frozenset[Path] = frozenset()
    frozen: tuple[str, ...] = ()  # modules whose parameters do not change


def scale_updates(updates: Any, inherited: Inherited, hparams: HParams) -> Any:
    """Returns the updates of an optimiser for weights that were taken over.

    Those of frozen modules are 0. Those of other weights that were taken over are
    multiplied by `hparams.inherited_rate`, and those of new weights stay. The weights
    of an output layer are new if one of its labels is.
    """
    flat = flax.traverse_util.flatten_dict(updates)
    scaled = {path: _scaled(path, x, inherited, hparams) for path, x in flat.items()}
    return flax.traverse_util.unflatten_dict(scaled)


def _scaled(
    path: Path, update: jax.Array, inherited: Inherited, hparams: HParams
) -> jax.Array:
    if is_in(path, inherited.frozen):
        return update * 0
    if path in inherited.new:
        return update
    return update * hparams.inherited_rate


def is_in(path: Path, modules: Iterable[str]) -> bool:
    """Returns whether an array belongs to one of some modules.

    A module is named by a part of its path, also without its number: "extractor"
    stands for "high/extractor_0" and all others.
    """
    joined = f"/{'/'.join(path)}"
    return any(f"/{name}/" in joined or f"/{name}_" in joined for name in modules)


def is_configured(init: Mapping[str, Any], hparams: HParams) -> bool:
    """Returns whether a value was set that only weights of another run would use.

    Args:
        init: values of config.init, of which `run` is not read.
        hparams: hyperparameters, of which only `inherited_rate` is read.
    """
    is_rate_set = float(hparams.inherited_rate) != 1
    return bool(init["freeze"]) or init["statistics"] != "data" or is_rate_set


def check_frozen(modules: Sequence[str], params: Mapping[str, Any]) -> None:
    """Checks that the network has every module that is to be frozen.

    Raises:
        ValueError: if it lacks one; lists the modules.
    """
    paths = list(flax.traverse_util.flatten_dict(params))
    for name in modules:
        if not any(is_in(path, [name]) for path in paths):
            known = sorted({"/".join(path[:-1][:2]) for path in paths})
            raise ValueError(
                f"init.freeze: the network has no module {name!r}; it has "
                f"{', '.join(known)}"
            )
