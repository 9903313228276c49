"""Loading of experiment files, with overrides of their values by name."""

from collections.abc import Sequence

import ml_collections
from absl import flags
from ml_collections import config_flags

EXAMPLE = "experiments/base.py"


def load(file: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Returns the locked configuration of an experiment file.

    Args:
        file: path of a Python file with a function `get_config`.
        overrides: flags of the form "--config.NAME=VALUE".

    Raises:
        ValueError: if a name does not exist; lists the names that do.
        flags.Error: if a value does not fit its name.
        OSError: if the file does not exist.
    """
    check_names(_parse(file, ()), overrides)
    return _parse(file, overrides)


def check_names(config: ml_collections.ConfigDict, arguments: Sequence[str]) -> None:
    """Checks that the experiment has the name of each "--config.NAME=VALUE".

    Raises:
        ValueError: if it lacks one; lists the names that it has, with their values.
    """
    listed = names(config)
    known = {name.partition("=")[0] for name in listed}
    given = [text.partition("=")[0] for text in arguments]
    wrong = [n for n in given if n.startswith("--config.") and n not in known]
    if wrong:
        lines = "\n  ".join(listed)
        raise ValueError(
            f"The experiment has no value {', '.join(wrong)}. "
            f"Its values are:\n  {lines}"
        )


def names(config: ml_collections.ConfigDict, prefix: str = "--config.") -> list[str]:
    """Returns "--config.NAME=VALUE" for every value that can be set."""
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
