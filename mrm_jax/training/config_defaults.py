"""Values that configurations of earlier versions, or without a base, may lack."""

from collections.abc import Sequence
from typing import Any

import ml_collections

from mrm_jax.experiments import base
from mrm_jax.training import metadata

# Options that were added to config.model later, with the values of runs before that.
CONFIG_DEFAULTS_SINCE = {"compute_dtype": "float32"}
LATER_GROUPS = ("init", "folds")


def fill(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns a configuration with the values that were added after it was written.

    Args:
        config: configuration of a checkpoint or of an experiment file, which need not
            be based on `experiments/base.py`. Its groups are filled, too.
    """
    found, of_base = ml_collections.ConfigDict(config), base.get_config()
    of_model = {f"config.model.{n}": v for n, v in CONFIG_DEFAULTS_SINCE.items()}
    defaults = metadata.LATER | of_model | {"config.model.options": {}}
    with found.unlocked():
        for place, value in defaults.items():
            _, *groups, last = place.split(".")
            _add(found, of_base, groups, last, value)
    return found


def _add(
    node: ml_collections.ConfigDict,
    of_base: ml_collections.ConfigDict,
    groups: Sequence[str],
    last: str,
    value: Any,
) -> None:
    """Adds a value that a configuration lacks; None takes its type from the base."""
    for group in groups:
        if group in LATER_GROUPS and group not in node:
            node[group] = ml_collections.ConfigDict()
        node, of_base = node.get(group), of_base[group]
        if not isinstance(node, ml_collections.ConfigDict):
            return  # the check of the types names it
    if last in node:
        return
    if value is None:
        value = of_base.get_ref(last)
    # Flags can change tuples, but no lists, which stand for them in JSON.
    node[last] = tuple(value) if isinstance(value, list) else value
