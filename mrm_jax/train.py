"""Trains MRM-Net on prepared shards and scores the test fold once, at the end.

Usage:
  python -m mrm_jax.train --config cpsc2018 --workdir runs/cpsc2018
  python -m mrm_jax.train --config mine.py --config.hparams.learning_rate=3e-4

Run the same command again to resume a run that stopped.

Flags:
  --config EXPERIMENT    experiment file, or the name of an experiment that the package
                         contains (python -m mrm_jax list); required
  --data SHARDS          folder of prepared shards, in place of the experiment's;
                         the same as --config.data.shards=SHARDS
  --init_from RUN        starts from the weights of another run: a folder, an .npz
                         export, a shipped model or a .pth file; labels may be others.
                         The same as --config.init.run=RUN
  --freeze MODULE,...    modules whose weights do not change, such as stem,extractor;
                         the same as --config.init.freeze
  --workdir FOLDER       folder for checkpoints, metrics and the report
                         (default: runs/NAME, with the name from the experiment)
  --config.NAME=VALUE    overrides a value of the experiment file
  --help                 prints this text; after --config, also the experiment's values
  --version              prints the version

To train one run on several hosts, run the same command on every host with
  --distributed          reads the processes from the environment of the cluster: Slurm,
                         Open MPI, Cloud TPU or Kubernetes
or, without a cluster,
  --coordinator HOST:PORT   address of process 0, with a free port
  --num_processes N         total number of processes
  --process_id I            index of this process, from 0 to N - 1
In both cases:
  --peer_timeout SECONDS    stops the others when one is silent this long (default: 60)
Every host needs the shards and reads only its own rows. Only process 0 needs the
workdir. At the start, the processes wait for each other for 300 s. The run can be
resumed on any number of processes and devices.

Exit status:
  0    finished
  2    error in a flag, a value, the data or a file
  3    the loss is not finite
  75   preempted (SIGTERM) and saved, even within an epoch: run the same command again
       to resume. A second SIGTERM ends the command at once
  130  interrupted (Ctrl-C): the last finished epoch is saved, and the same command
       resumes after it
  1, 134 and others   with several hosts: another host failed; restart all of them
"""

import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ml_collections
from absl import flags

from mrm_jax.runs import experiment, transfer
from mrm_jax.runtime import cli, compiler, distributed, preemption, processes
from mrm_jax.training import config as config_lib
from mrm_jax.training import run_folder, unused
from mrm_jax.version import VERSION

SHORT = {
    "--data": "data.shards",
    "--init_from": "init.run",
    "--freeze": "init.freeze",
}
# Also the one that only `mrm_jax.cross_validate` has.
FLAGS = (
    *("--config", "--workdir", *SHORT, "--test_folds", "--help", "--version"),
    *("--distributed", "--coordinator", "--num_processes", "--process_id"),
    "--peer_timeout",
)
RESUME = "Run the same command again to resume."
NOT_FINITE_STATUS = 3
PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: try again
NOT_FINITE = """Nothing was overwritten: the newest checkpoint precedes this epoch. Use
another --workdir and a lower --config.hparams.learning_rate, or check for damaged
records with mrm_jax.data.shards.load(FOLDER, verify_hashes=True)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    arguments = [with_two_dashes(text) for text in words]
    return status(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if "--version" in arguments:
        print(f"mrm_jax {VERSION}")
        return cli.DONE
    if not arguments or {"--help", "-h"} & set(arguments):
        print(help_text(arguments, str(__doc__)))
        return cli.DONE
    config, workdir = parse(arguments)
    command = cli.command_line("mrm_jax.train", _with_workdir(arguments, workdir))
    cluster = parse_cluster(arguments)
    compiler.set_up()
    with distributed.initialize(cluster) if cluster else contextlib.nullcontext():
        return status(lambda: _train(config, workdir, command))


def _train(config: ml_collections.ConfigDict, workdir: Path, command: str) -> int:
    try:
        with preemption.PreemptionHandler() as handler:
            source = processes.all_or_raise(lambda: pytorch_source(config))
            experiment.train_and_evaluate(config, workdir, command, handler, source)
    except KeyboardInterrupt:
        if not processes.is_main():  # the others need not see the folder
            raise
        saved = run_folder.describe_saved(workdir, config.num_epochs)
        raise KeyboardInterrupt(f"Interrupted. {saved}") from None
    return cli.DONE


def pytorch_source(config: ml_collections.ConfigDict) -> transfer.Source | None:
    """Returns the first weights if they are in a PyTorch file.

    Raises:
        ImportError: if PyTorch is not installed; says how to install it.
        ValueError: if the file is no checkpoint of MRM-Net.
    """
    if not (config.init.run or "").endswith((".pth", ".pt")):
        return None
    from mrm_jax.interop import torch_source  # imports PyTorch

    return torch_source.read(Path(config.init.run))


def status(run: Callable[[], int]) -> int:
    """Calls `run` and returns its exit status; prints a message if it stopped early."""
    return cli.run(
        lambda: _stoppable(run),
        interrupted=f"Interrupted. {RESUME}",
        errors=(flags.Error,),
        save_memory=cli.SAVE_MEMORY,
    )


def _stoppable(run: Callable[[], int]) -> int:
    try:
        return run()
    except FloatingPointError as error:
        cli.say_error(f"error: {error}\n{NOT_FINITE}")
        return NOT_FINITE_STATUS
    except preemption.Preempted as place:
        cli.say_error(f"Preempted {place}. {RESUME}")
        return PREEMPTED


def parse(arguments: Sequence[str]) -> tuple[ml_collections.ConfigDict, Path]:
    """Returns the experiment with the overrides of the command line, and the workdir.

    Raises:
        ValueError: if a name does not exist, or its value has no effect.
        flags.Error: if a value is invalid.
        OSError: if the experiment file does not exist.
    """
    arguments = expand(arguments)
    file = _config_file(arguments)
    if file is None:
        raise ValueError(
            f"--config is required, for example --config={config_lib.EXAMPLE}."
        )
    as_written = config_lib.read(file)
    _parse_flags(_without_overrides(arguments))  # names flags that do not exist
    config_lib.check_names(as_written, arguments)
    values = _parse_flags(arguments, as_written)
    config_lib.check(values.config)
    unused.check(values.config, arguments)
    return values.config, Path(values.workdir or f"runs/{values.config.name}")


def expand(arguments: Sequence[str]) -> list[str]:
    """Replaces the short flags by the values of the experiment that they stand for.

    Raises:
        ValueError: if one has no value.
    """
    return [_freeze_as_tuple(text) for text in cli.expand_flags(arguments, SHORT)]


def _freeze_as_tuple(text: str) -> str:
    """Writes a list of modules as ml_collections reads a tuple."""
    start, equals, value = text.partition("=")
    if start != f"--config.{SHORT['--freeze']}" or value.startswith("("):
        return text
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    return f"{start}{equals}{names!r}"


def parse_cluster(arguments: Sequence[str]) -> distributed.Cluster | None:
    """Returns the cluster of a run on several hosts, or None for a single process.

    Raises:
        ValueError: if the flags contradict each other.
    """
    values = _parse_flags(_without_overrides(expand(arguments)))
    by_hand = (values.coordinator, values.num_processes, values.process_id)
    if values.distributed and by_hand != (None, None, None):
        raise ValueError(
            "--distributed reads the environment of a cluster, but --coordinator, "
            "--num_processes and --process_id are for hosts without one. Pass either "
            "the first or the other three."
        )
    timeout = values.peer_timeout
    if timeout is None:
        timeout = distributed.PEER_TIMEOUT_S
    elif not values.distributed and by_hand == (None, None, None):
        raise ValueError(
            "--peer_timeout has no effect on a single process. Leave it out, or pass "
            "--distributed or --coordinator."
        )
    cluster = distributed.Cluster(*by_hand, timeout)
    return cluster if values.distributed or values.coordinator else None


def _parse_flags(
    arguments: Sequence[str], config: ml_collections.ConfigDict | None = None
) -> flags.FlagValues:
    """Parses the flags, separately from the global flags of absl.

    Args:
        arguments: flags, of which --config is left out.
        config: what the flags --config.NAME=VALUE change; None: there are none.

    Raises:
        ValueError: if an argument is not a flag.
    """
    words, values = _without_config(arguments), flags.FlagValues()
    if config is not None:
        config_lib.define_flag(values, config, words)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    flags.DEFINE_boolean("distributed", False, "", flag_values=values)
    flags.DEFINE_string("coordinator", None, "", flag_values=values)
    for name in ("num_processes", "process_id", "peer_timeout"):
        flags.DEFINE_integer(name, None, "", flag_values=values)
    rest = values(["mrm_jax.train", *words])[1:]
    if rest:
        raise ValueError(
            f"Found unexpected arguments {rest}. Override values with "
            "--config.NAME=VALUE."
        )
    return values


def _config_file(arguments: Sequence[str]) -> str | None:
    """Returns the experiment file, or None if there is none."""
    place = _place_of_config(arguments)
    return None if place is None else arguments[place].removeprefix("--config=") or None


def _place_of_config(arguments: Sequence[str]) -> int | None:
    """Returns the index of "--config=FILE", or of FILE after "--config"."""
    for index, text in enumerate(arguments):
        if text.startswith("--config="):
            return index
        if text == "--config" and index + 1 < len(arguments):
            return index + 1
    return None


def _without_config(arguments: Sequence[str]) -> list[str]:
    """Leaves out "--config=FILE", or "--config" and "FILE"."""
    place = _place_of_config(arguments)
    if place is None:
        return [*arguments]
    start = place if arguments[place].startswith("--config=") else place - 1
    return [*arguments[:start], *arguments[place + 1 :]]


def _with_workdir(arguments: Sequence[str], workdir: Path) -> list[str]:
    """Names the workdir in a command to be stored, also if it is the default."""
    is_given = any(text.partition("=")[0] == "--workdir" for text in arguments)
    return [*arguments] if is_given else [*arguments, f"--workdir={workdir}"]


def _without_overrides(arguments: Sequence[str]) -> list[str]:
    return [text for text in arguments if not text.startswith("--config.")]


def with_two_dashes(text: str) -> str:
    """Adds the second dash to a flag, as later checks expect; absl accepts both."""
    name = re.split(r"[=.]", text, maxsplit=1)[0]
    return f"-{text}" if f"-{name}" in FLAGS else text


def help_text(arguments: Sequence[str], description: str) -> str:
    """Returns the description of a command and, after --config, the values."""
    asked = _without_overrides(
        [t for t in expand(arguments) if t not in ("--help", "-h")]
    )
    file = _config_file(asked) if asked else config_lib.EXAMPLE
    _parse_flags(asked)  # names flags that do not exist
    if file is None:
        return description
    config = config_lib.read(file)
    return "\n  ".join(
        [f"{description}\nValues of the experiment:", *config_lib.names(config)]
    )


if __name__ == "__main__":
    sys.exit(main())
