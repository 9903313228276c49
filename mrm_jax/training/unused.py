"""Values of a configuration that its network does not read.

An experiment may set them, as it often changes another one. On the command line, and in
the space of a sweep, they are refused.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from mrm_jax.models import networks

# Values of config.model that networks other than MRM-Net may read.
OF_ALL = ("name", "options", "compute_dtype")
OF_TWO_BRANCHES = (
    "high_weight",
    "low_weight",
    "feature_weight",
    "logit_weight",
    "temperature",
)


def reasons(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns the values that the network does not read, each with the reason.

    Args:
        config: a configuration as a dictionary.

    Returns:
        Name, such as "model.width" -> the reason.

    Raises:
        ValueError: if there is no such network.
    """
    name = config.get("model", {}).get("name", networks.MRM_NET)
    if name == networks.MRM_NET:
        return {}
    network: Any = networks.find(name)
    reason = f"it is an option of {networks.MRM_NET}"
    options = [option for option in config["model"] if option not in OF_ALL]
    found = {f"model.{option}": reason for option in options}
    if len(networks.branches(network)) == 1:
        reason = "it belongs to a loss of two branches, and this network has one"
        found |= {f"hparams.{hparam}": reason for hparam in OF_TWO_BRANCHES}
    if "compute_dtype" not in {field.name for field in dataclasses.fields(network)}:
        found["model.compute_dtype"] = "its class has no attribute compute_dtype"
    return found


def check(config: ml_collections.ConfigDict, arguments: Sequence[str]) -> None:
    """Checks that no argument sets a value that the network does not read.

    Args:
        config: configuration with the values of the arguments.
        arguments: of which those of the form "--config.NAME=VALUE" are checked.

    Raises:
        ValueError: if one does; says why.
    """
    found = reasons(config.to_dict())
    for flag in (text.partition("=")[0] for text in arguments):
        name = flag.removeprefix("--config.")
        if name != flag and name in found:
            raise ValueError(
                f"{flag} has no effect with the network {config.model.name}, as "
                f"{found[name]}. Leave it out. The options of a network other than "
                f"{networks.MRM_NET} are values of config.model.options in the "
                "experiment file."
            )
