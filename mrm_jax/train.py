"""Trains MRM-Net on prepared shards and scores the test fold once, at the end.

Usage:
  python -m mrm_jax.train --config experiments/cpsc2018.py --workdir runs/cpsc2018
  python -m mrm_jax.train --config experiments/ptbxl_rhythm.py \\
      --config.hparams.learning_rate=3e-4

The same command again continues a run that stopped, or says that it is finished.

Flags:
  --config FILE          experiment file; required
  --workdir FOLDER       for checkpoints, metrics and report
                         (default: runs/ and the name that the experiment gives)
  --config.NAME=VALUE    sets a value of the experiment file
  --help                 this text; after --config FILE, with that file's values
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

from mrm_jax import experiment, parallel, trainer

NOT_FINITE = """Nothing was overwritten: the newest checkpoint is of the epoch before.
Give another --workdir and a lower --config.hparams.learning_rate, or look for damaged
records with mrm_jax.shards.load(FOLDER, verify_hashes=True)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit status."""
    arguments = [_with_two_dashes(text) for text in argv or sys.argv[1:]]
    try:
        if not arguments or {"--help", "-h"} & set(arguments):
            print(_help(arguments))
            return 0
        config, workdir = parse(arguments)
        parallel.use_compilation_cache()
        command = shlex.join(["python", "-m", "mrm_jax.train", *arguments])
        trainer.train_and_evaluate(config, workdir, command)
        return 0
    except (ValueError, OSError, flags.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"error: {error}\n{NOT_FINITE}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str]) -> tuple[ml_collections.ConfigDict, Path]:
    """Returns the experiment with the command line's overrides, and the workdir.

    Raises:
        ValueError: if a name does not exist; lists the right ones.
        flags.Error: if a value does not fit.
        OSError: if there is no such experiment file.
    """
    as_written = _parse_flags(_without_overrides(arguments)).config
    if as_written is None:
        raise ValueError(
            f"--config is required, for example --config={experiment.EXAMPLE}"
        )
    experiment.check_names(as_written, arguments)
    values = _parse_flags(arguments)
    return values.config, Path(values.workdir or f"runs/{values.config.name}")


def _parse_flags(arguments: Sequence[str]) -> flags.FlagValues:
    """Returns the parsed flags, apart from absl's global ones.

    Raises:
        ValueError: if something stands there that is no flag.
    """
    values, words = flags.FlagValues(), ["mrm_jax.train", *arguments]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    rest = values(words)[1:]
    if rest:
        raise ValueError(f"unexpected {rest}; values are set with --config.NAME=VALUE")
    return values


def _without_overrides(arguments: Sequence[str]) -> list[str]:
    return [text for text in arguments if not text.startswith("--config.")]


def _with_two_dashes(text: str) -> str:
    """Returns a flag as the checks below look for it; one dash is as good to absl."""
    return f"-{text}" if text.startswith("-config") else text


def _help(arguments: Sequence[str]) -> str:
    asked = _without_overrides(
        [text for text in arguments if text not in ("--help", "-h")]
    )
    if not asked and Path(experiment.EXAMPLE).is_file():
        asked = [f"--config={experiment.EXAMPLE}"]
    config = _parse_flags(asked).config
    if config is None:
        return str(__doc__)
    return "\n  ".join(
        [f"{__doc__}\nValues of the experiment:", *experiment.names(config)]
    )


if __name__ == "__main__":
    sys.exit(main())
