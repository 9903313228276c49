"""Searches for the best hyperparameters of an experiment, many trials at once.

A sweep file is an experiment that defines get_space() in addition to get_config().
get_space() returns Optuna distributions, keyed by the names used after --config. Every
trial is scored on the validation split after each epoch. The test fold is never read.
Values of hparams and the seed vary within one compiled program. Every combination of
batch_size and model.* is compiled separately.

Example:
  python -m mrm_jax.sweep --config sweeps/demo --trials 12

Run the same command again to resume a sweep that stopped. Increase --trials to extend
the search. Processes on several machines share a sweep if they use the same --storage.

Exit status: 0 all trials ended, 2 invalid input, 4 the storage does not respond,
75 terminated (SIGTERM), 130 interrupted. In the last three cases, run it again.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from mrm_jax.runtime import cli, compiler, extras, preemption
from mrm_jax.sweeps.vectorised import ALIASES, BATCHINGS
from mrm_jax.training import config as config_lib
from mrm_jax.training import shipped_experiments

_COUNT = cli.at_least(1)
KEPT = "Ended trials are kept, and the finished epochs of the others are saved."
RESUME = "Run the same command again to resume from the last epoch."
# Old spellings of flags, which are still accepted.
RENAMED = {
    "--way": "--batching",
    "--beat_s": "--heartbeat_s",
    "--grace_s": "--timeout_s",
}
WRONG_INPUT, NO_STORAGE, TERMINATED = cli.WRONG_INPUT, 4, 75


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and works on the sweep; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    words = cli.rename_flags(given, RENAMED)
    _hide_password(words)
    args, rest = _flags().parse_known_args(words)
    command = cli.command_line("mrm_jax.sweep", words)
    return cli.run(
        lambda: _work(args, rest, command),
        interrupted=f"Interrupted. {KEPT} {RESUME}",
        errors=(absl_flags.Error, ImportError),
        save_memory=cli.SAVE_MEMORY,
    )


def _hide_password(words: Sequence[str]) -> None:
    """Hides a password in the storage's URL from the system's list of processes."""
    title = cli.command_line("mrm_jax.sweep", words)
    if title == shlex.join(["python", "-m", "mrm_jax.sweep", *words]):
        return
    try:
        import setproctitle
    except ModuleNotFoundError:
        print(
            "warning: other users of this machine can see the password in --storage. "
            "Leave it out and write it to ~/.pgpass.",
            file=sys.stderr,
        )
        return
    setproctitle.setproctitle(title)


def _work(args: argparse.Namespace, overrides: Sequence[str], command: str) -> int:
    """Works on the sweep; returns the exit status of a sweep that has to be resumed."""
    try:
        compiler.set_up()
        _run(args, overrides, command)
        return cli.DONE
    except ConnectionError as error:
        cli.say_error(f"error: {cli.error_text(error)}")
        return NO_STORAGE
    except preemption.Preempted:
        cli.say_error(f"Terminated. {RESUME}")
        return TERMINATED


def _run(args: argparse.Namespace, overrides: Sequence[str], command: str) -> None:
    strange = [word for word in overrides if not word.startswith("--config.")]
    if strange:
        raise ValueError(
            f"Found unexpected arguments {strange}. See --help for the valid flags."
        )
    extras.require("Sweeps need the extra `sweep`", "sweep", "optuna", "sqlalchemy")
    from mrm_jax.sweeps import search

    args.config = shipped_experiments.resolve(args.config)
    given = dict(vars(args))
    data = given.pop("data")
    if data is not None:
        overrides = [*overrides, f"--config.data.shards={data}"]
    config = config_lib.load(args.config, overrides)
    if args.workdir is None:
        given["workdir"] = workdir = Path("sweeps") / config.name
        # The command is stored with the results.
        command = f"{command} {shlex.quote(f'--workdir={workdir}')}"
    options = search.Options(
        config_file=given.pop("config"),
        overrides=overrides,
        slots=given.pop("population"),
        **given,
    )
    with preemption.PreemptionHandler() as handler:
        search.run(options, command, handler)


def _flags() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m mrm_jax.sweep",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_work_flags(parser)
    _add_trial_flags(parser)
    _add_search_flags(parser.add_argument_group("search"))
    _add_sharing_flags(parser.add_argument_group("several processes"))
    return parser


def _add_work_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    cli.add_version(parser)
    add(
        "--config",
        metavar="EXPERIMENT",
        required=True,
        help="experiment file with get_space(), or the name of one that the package "
        "contains (python -m mrm_jax list)",
    )
    add(
        "--data",
        metavar="SHARDS",
        help="folder of prepared shards, in place of the experiment's; the same as "
        "--config.data.shards=SHARDS",
    )
    add(
        "--workdir",
        metavar="FOLDER",
        type=Path,
        help="folder for trials, tables and plots (default: sweeps/NAME, with the name "
        "from the experiment)",
    )


def _add_trial_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--trials",
        type=_COUNT,
        default=32,
        help="number of trials to train (default: %(default)s)",
    )
    add(
        "--population",
        type=lambda text: None if text == "auto" else _COUNT(text),
        default="auto",
        help="number of trials that this process trains at once (default: as many as "
        "fit, but at most a quarter of all trials)",
    )
    add(
        "--batching",
        type=lambda text: ALIASES.get(text, text),
        choices=BATCHINGS,
        help="how trials share a device: as one vectorised program (vmap), as a loop "
        "within one program (map), or by one call after another (loop) (default: vmap "
        "on accelerators, loop on the CPU)",
    )
    add(
        "--keep_all",
        action="store_true",
        help="keep the checkpoints of all trials instead of only the best one's",
    )


def _add_search_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--sampler",
        choices=("tpe", "random", "grid", "sobol"),
        default="tpe",
        help="sampling algorithm (default: %(default)s)",
    )
    add(
        "--sampler_seed",
        metavar="SEED",
        type=cli.at_least(0),
        default=0,
        help="seed of the sampler (default: %(default)s)",
    )
    add(
        "--pruner",
        choices=("hyperband", "none"),
        default="hyperband",
        help="algorithm that stops poor trials early (default: %(default)s)",
    )
    add(
        "--seeds",
        metavar="N",
        type=cli.at_least(0),
        default=5,
        help="number of further seeds with which the best trial is trained again, to "
        "show the seed-to-seed variance (default: %(default)s)",
    )


def _add_sharing_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--storage",
        metavar="URL",
        help="postgresql://USER@HOST/DATABASE, with the password in ~/.pgpass; or "
        "FILE.journal on a shared disk (default: study.sqlite in the workdir)",
    )
    group.add_argument(
        "--study", metavar="NAME", help="study name (default: name of the experiment)"
    )
    group.add_argument(
        "--worker",
        metavar="NAME",
        help="unique name of this process; after a restart under the same name it "
        "resumes its own trials at once (default: host name, with a mark of "
        "the workdir if --storage is given, numbered if needed)",
    )
    group.add_argument(
        "--heartbeat_s",
        metavar="SECONDS",
        type=_COUNT,
        default=60,
        help="interval between heartbeats to the storage (default: %(default)s)",
    )
    group.add_argument(
        "--timeout_s",
        metavar="SECONDS",
        type=_COUNT,
        default=180,
        help="time without a heartbeat after which others take over a process's "
        "trials (default: %(default)s)",
    )
    group.add_argument(
        "--patience_s",
        metavar="SECONDS",
        type=_COUNT,
        default=60,
        help="how long to wait for a storage that does not respond (default: "
        "%(default)s)",
    )


if __name__ == "__main__":
    sys.exit(main())
