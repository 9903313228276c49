"""Experiment files: loading one, and setting its values by name."""

from collections.abc import Sequence

import ml_collections
from absl import flags
from ml_collections import config_flags

EXAMPLE = "experiments/base.py"


def load(file: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Returns the locked configuration of an experiment file.

    Args:
        file: has a function `get_config`.
        overrides: "--config.NAME=VALUE" each.

    Raises:
        ValueError: if a name does not exist; lists the right ones.
        flags.Error: if a value does not fit.
        OSError: if there is no such file.
    """
    check_names(_parse(file, ()), overrides)
    return _parse(file, overrides)


def check_names(config: ml_collections.ConfigDict, arguments: Sequence[str]) -> None:
    """Refuses "--config.NAME=VALUE" where the experiment has no such name.

    Raises:
        ValueError: lists the right names with their values.
    """
    listed = names(config)
    known = {name.partition("=")[0] for name in listed}
    given = [text.partition("=")[0] for text in arguments]
    wrong = [n for n in given if n.startswith("--config.") and n not in known]
    if wrong:
        lines = "\n  ".join(listed)
        raise ValueError(f"no value {', '.join(wrong)}; the experiment has\n  {lines}")


def names(config: ml_collections.ConfigDict, prefix: str = "--config.") -> list[str]:
    """Returns each name that can be set, with its value."""
    found = []
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            found += names(value, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}={value}")
    return found


def _parse(file: str, overrides: Sequence[str]) -> ml_collections.ConfigDict:
    values, words = flags.FlagValues(), ["", f"--config={file}", *overrides]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    values(words)
    return values.config
