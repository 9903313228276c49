"""Loading of experiment files, with overrides of their values by name."""

import contextlib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import msgspec
from absl import flags
from ml_collections import config_flags

from mrm_jax.models import networks
from mrm_jax.runtime import text
from mrm_jax.training import config_defaults, hparams, shipped_experiments, unused

EXAMPLE = "cpsc2018"
CONFIG_MODULE = "config_config"  # the name under which ml_collections loads a file


class _Folds(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    train: tuple[int, ...] | None = None
    val: tuple[int, ...] | None = None
    test: tuple[int, ...] | None = None


class _Data(msgspec.Struct, forbid_unknown_fields=True):
    shards: str | None
    label_set: str | None
    resident_gib: float | None
    # Later than 0.1.0, as in `metadata.LATER`.
    folds: _Folds = _Folds()
    leads: tuple[str, ...] | None = None


class _Init(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    run: str | None = None
    freeze: tuple[str, ...] = ()
    statistics: str = "data"


_HParams: Any = msgspec.defstruct(
    "_HParams",
    [
        *((name, float) for name in hparams.FIRST),
        *((name, float, value) for name, value in hparams.later_defaults().items()),
    ],
    forbid_unknown_fields=True,
)


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    width: int
    mutual_stages: tuple[str, ...]
    feature_pairing: str
    logit_divergence: str
    exchange: bool
    eca_conv: bool
    compute_dtype: str = "float32"
    # Later than 0.1.0, as in `metadata.LATER`.
    name: str = networks.MRM_NET
    options: dict[str, Any] = {}


class _Experiment(msgspec.Struct, forbid_unknown_fields=True):
    """The values that every experiment has, see experiments/base.py."""

    name: str
    seed: int
    batch_size: int
    num_epochs: int
    selection_head: str
    data: _Data
    hparams: _HParams
    model: _Model
    # Later than 0.1.0, as in `metadata.LATER`.
    patience: int = 0
    average_weights: bool = False
    augment: bool = False
    init: _Init = _Init()


def load(file: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Returns the locked configuration of an experiment file.

    Args:
        file: path of a Python file with a function `get_config`, or the name of an
            experiment that the package contains.
        overrides: flags of the form "--config.NAME=VALUE".

    Raises:
        ValueError: if the file fails, lacks a value or has one of another type, or if
            an override names no value, or one that the network does not read.
        flags.Error: if a value does not fit its name.
        OSError: if the file does not exist.
    """
    as_written = read(file)
    check_names(as_written, overrides)
    config = _override(as_written, overrides)
    check(config)
    unused.check(config, overrides)
    return config


def read(file: str) -> ml_collections.ConfigDict:
    """Returns the locked configuration of an experiment file as it is written.

    Values that were added after 0.1.0 may be missing in the file; they get their
    defaults.

    Args:
        file: as in `load`.

    Raises:
        ValueError: if the file fails, lacks a value or has one of another type.
        OSError: if the file does not exist.
    """
    file = shipped_experiments.resolve(file)
    with naming_errors(file):
        values, words = flags.FlagValues(), ["", f"--config={file}"]
        config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
        values(words)
        _check_kind(values.config)
        config = config_defaults.fill(values.config).lock()
        check(config)
    return config


@contextlib.contextmanager
def naming_errors(file: str) -> Iterator[None]:
    """Turns errors of an experiment file into one line with the file and the line.

    Raises:
        ValueError: for any error but those of flags.
    """
    path = Path(file.partition(":")[0])  # FILE.py:ARGUMENT calls get_config(ARGUMENT)
    # Loading a second file within a process keeps the functions of the first one.
    sys.modules.pop(CONFIG_MODULE, None)
    try:
        yield
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise _error(file, line, error, str(error.msg)) from None
    except Exception as error:
        # ml_collections turns a TypeError into an error of the flag.
        report = traceback.format_exception(error) + str(error).splitlines()
        places = re.findall(r'File "(.*)", line (\d+)', "\n".join(report))
        lines = [n for name, n in places if Path(name).absolute() == path.absolute()]
        last = str(error).strip().rpartition("\n")[2]
        if "No module named 'experiments'" in last:
            last += ". Write: from mrm_jax.experiments import base"
        if lines:
            raise _error(file, f", line {lines[-1]}", error, last) from None
        if isinstance(error, flags.Error) and "Traceback" not in str(error):
            raise
        if isinstance(error, AttributeError) and "get_config" in str(error):
            last = "this file has no function get_config"
        raise ValueError(f"{file}: {last}") from None


def _error(file: str, line: str, error: Exception, message: str) -> ValueError:
    """Returns an error that an experiment file raised, in one line."""
    kind = type(error).__name__
    named = message if isinstance(error, flags.Error) else f"{kind}: {message}"
    return ValueError(f"{file}{line}: {named}")


def check_types(config: ml_collections.ConfigDict) -> None:
    """Checks that a configuration has all values, and no others, in their types.

    Raises:
        ValueError: if it does not; names the value.
    """
    _check_kind(config)
    try:
        msgspec.convert(config.to_dict(), _Experiment)
    except msgspec.ValidationError as error:
        found, _, place = str(error).partition(" - at `$.")
        name = f"{place.removesuffix('`')}: " if place else ""
        raise ValueError(
            f"{name}{found[:1].lower()}{found[1:].replace('`', '')}"
        ) from None


def _check_kind(config: object) -> None:
    if not isinstance(config, ml_collections.ConfigDict):
        raise ValueError(
            "get_config() has to return a ConfigDict, such as that of "
            f"mrm_jax.experiments.base; it returned {type(config).__name__}."
        )


def check(config: ml_collections.ConfigDict) -> None:
    """Checks the types of a new experiment, and that its name can name a folder.

    Raises:
        ValueError: as `check_types`, or if the name cannot.
    """
    check_types(config)
    text.check_folder_name("name", config.name)


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


def define_flag(
    values: flags.FlagValues,
    config: ml_collections.ConfigDict,
    words: Sequence[str],
) -> None:
    """Defines the flags --config.NAME=VALUE for the values of a configuration.

    Args:
        values: to which the flags are added. `values.config` will be the configuration.
        config: as written in its file; it is changed by the flags.
        words: the command line that will be parsed, without --config.
    """
    config_flags.DEFINE_config_dict(
        "config", config, flag_values=values, sys_argv=["", *words]
    )


def _override(
    config: ml_collections.ConfigDict, overrides: Sequence[str]
) -> ml_collections.ConfigDict:
    values = flags.FlagValues()
    define_flag(values, config, overrides)
    values(["", *overrides])
    return values.config
