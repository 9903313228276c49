"""Trains MRM-Net on prepared shards and scores the test fold once, at the end.

Usage:
  python -m mrm_jax.train --config experiments/cpsc2018.py --workdir runs/cpsc2018
  python -m mrm_jax.train --config experiments/ptbxl_rhythm.py \\
      --config.hparams.learning_rate=3e-4

Run the same command again to resume a run that stopped.

Flags:
  --config FILE          experiment file; required
  --workdir FOLDER       for checkpoints, metrics and report
                         (default: runs/ and the name that the experiment gives)
  --config.NAME=VALUE    sets a value of the experiment file
  --help                 this text; after --config FILE, with that file's values

One run over many hosts: the same command on every host, with
  --distributed          the cluster's environment says who takes part: Slurm, Open MPI,
                         Cloud TPU or Kubernetes
or, without a cluster,
  --coordinator HOST:PORT   of process 0, with a free port
  --num_processes N         that take part
  --process_id I            of this one, from 0 to N - 1
and with both
  --peer_timeout SECONDS    the others stop when one is silent so long (default: 60)
Every host needs the shards, of which it reads its own rows; only process 0 needs the
workdir. All wait 300 s for each other at the start. The run continues on any number of
processes and devices.

Exit status:
  0    finished
  2    error: a flag, a value, the data or a file
  3    the loss is not finite
  75   preempted (SIGTERM) and saved, also within an epoch: run the same command again.
       A second SIGTERM ends it at once
  130  interrupted
  1, 134 and other    of many hosts: another one failed; start all again
"""

import contextlib
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

from mrm_jax.runs import experiment
from mrm_jax.runtime import cli, devices, distributed, preemption
from mrm_jax.training import config as config_lib

RESUME = "Run the same command again to resume."
NOT_FINITE_STATUS = 3
PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: try again
NOT_FINITE = """Nothing was overwritten: the newest checkpoint is of the epoch before.
Give another --workdir and a lower --config.hparams.learning_rate, or look for damaged
records with mrm_jax.data.shards.load(FOLDER, verify_hashes=True)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit status."""
    arguments = [_with_two_dashes(text) for text in argv or sys.argv[1:]]
    return _status(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if not arguments or {"--help", "-h"} & set(arguments):
        print(_help(arguments))
        return 0
    config, workdir = parse(arguments)
    cluster = parse_cluster(arguments)
    command = shlex.join(["python", "-m", "mrm_jax.train", *arguments])
    devices.use_compilation_cache()
    with distributed.initialize(cluster) if cluster else contextlib.nullcontext():
        return _status(lambda: _train(config, workdir, command))


def _train(config: ml_collections.ConfigDict, workdir: Path, command: str) -> int:
    with preemption.PreemptionHandler() as handler:
        experiment.train_and_evaluate(config, workdir, command, handler)
    return 0


def _status(run: Callable[[], int]) -> int:
    """Returns the exit status of run, after a message if it stopped early."""
    return cli.run(
        lambda: _stoppable(run),
        interrupted=f"Interrupted. {RESUME}",
        errors=(flags.Error,),
    )


def _stoppable(run: Callable[[], int]) -> int:
    try:
        return run()
    except FloatingPointError as error:
        print(f"error: {error}\n{NOT_FINITE}", file=sys.stderr)
        return NOT_FINITE_STATUS
    except preemption.Preempted as place:
        print(f"Preempted {place}. {RESUME}", file=sys.stderr)
        return PREEMPTED


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
            f"--config is required, for example --config={config_lib.EXAMPLE}"
        )
    config_lib.check_names(as_written, arguments)
    values = _parse_flags(arguments)
    return values.config, Path(values.workdir or f"runs/{values.config.name}")


def parse_cluster(arguments: Sequence[str]) -> distributed.Cluster | None:
    """Returns where the processes of a run over many hosts meet; None: it has one.

    Raises:
        ValueError: if the flags do not go together.
    """
    values = _parse_flags(arguments)
    by_hand = (values.coordinator, values.num_processes, values.process_id)
    if values.distributed and by_hand != (None, None, None):
        raise ValueError(
            "--distributed asks the cluster's environment; --coordinator, "
            "--num_processes and --process_id are for hosts without one: give either"
        )
    cluster = distributed.Cluster(*by_hand, values.peer_timeout)
    return cluster if values.distributed or values.coordinator else None


def _parse_flags(arguments: Sequence[str]) -> flags.FlagValues:
    """Returns the parsed flags, apart from absl's global ones.

    Raises:
        ValueError: if something stands there that is no flag.
    """
    values, words = flags.FlagValues(), ["mrm_jax.train", *arguments]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    flags.DEFINE_boolean("distributed", False, "", flag_values=values)
    flags.DEFINE_string("coordinator", None, "", flag_values=values)
    for name in ("num_processes", "process_id"):
        flags.DEFINE_integer(name, None, "", flag_values=values)
    timeout = distributed.PEER_TIMEOUT_S
    flags.DEFINE_integer("peer_timeout", timeout, "", flag_values=values)
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
    if not asked and Path(config_lib.EXAMPLE).is_file():
        asked = [f"--config={config_lib.EXAMPLE}"]
    config = _parse_flags(asked).config
    if config is None:
        return str(__doc__)
    return "\n  ".join(
        [f"{__doc__}\nValues of the experiment:", *config_lib.names(config)]
    )


if __name__ == "__main__":
    sys.exit(main())
