"""Searches for the best settings of an experiment, many of them trained at once.

The sweep's file is an experiment with a function get_space() beside its get_config():
Optuna's distributions of what varies, named as after --config. Every setting is scored
on validation after each epoch; the test fold is never read. Values of hparams and the
seed vary inside one compiled program, and every combination of batch_size and model.*
is a program of its own.

Example:
  python -m mrm_jax.sweep --config experiments/sweeps/demo.py --trials 12

The same command again goes on with a sweep that stopped; with more --trials it searches
further. Started on several machines with one --storage, all work on one sweep.

Exit status: 0 all settings ended, 2 wrong input, 4 the storage does not answer,
75 terminated (SIGTERM), 130 interrupted; in the last three cases start it again.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from mrm_jax.runtime import devices, preemption
from mrm_jax.sweeps.members import WAYS
from mrm_jax.training import config as config_lib

NEEDS_OPTUNA = "sweeps need Optuna, found none: pip install 'mrm_jax[sweep]'"
GO_ON = "the same command goes on from the last epoch"
WRONG_INPUT, NO_STORAGE, TERMINATED, INTERRUPTED = 2, 4, 75, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and works on the sweep; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    args, rest = _flags().parse_known_args(words)
    try:
        devices.use_compilation_cache()
        _run(args, rest, shlex.join(["python", "-m", "mrm_jax.sweep", *words]))
        return 0
    except (ValueError, OSError, absl_flags.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return NO_STORAGE if isinstance(error, ConnectionError) else WRONG_INPUT
    except preemption.Preempted:
        print(f"terminated; {GO_ON}", file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print(f"interrupted; {GO_ON}", file=sys.stderr)
        return INTERRUPTED


def _run(args: argparse.Namespace, overrides: Sequence[str], command: str) -> None:
    strange = [word for word in overrides if not word.startswith("--config.")]
    if strange:
        raise ValueError(f"unexpected {strange}; --help lists the flags")
    try:
        from mrm_jax.sweeps import search  # here, as only the extra has Optuna
    except ModuleNotFoundError as error:
        if error.name not in ("optuna", "sqlalchemy"):
            raise
        raise ValueError(NEEDS_OPTUNA) from error
    config = config_lib.load(args.config, overrides)
    given = dict(vars(args))
    given["workdir"] = args.workdir or Path("sweeps") / config.name
    options = search.Options(
        config_file=given.pop("config"),
        overrides=overrides,
        places=given.pop("population"),
        **given,
    )
    with preemption.PreemptionHandler() as handler:
        search.run(options, command, handler)


def _flags() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="mrm_jax.sweep",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_work_flags(parser)
    _add_search_flags(parser.add_argument_group("of the search"))
    _add_sharing_flags(parser.add_argument_group("with several processes"))
    return parser


def _add_work_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config", metavar="FILE", required=True, help="experiment with get_space()")
    add(
        "--workdir",
        metavar="FOLDER",
        type=Path,
        help="for settings, tables and pictures (default: sweeps/ and its name)",
    )
    add("--trials", type=_count, default=32, help="settings to train (%(default)s)")
    add(
        "--population",
        type=lambda text: None if text == "auto" else _count(text),
        default="auto",
        help="settings trained at once by this process (default: as many as fit, but "
        "a quarter of all at most)",
    )
    add(
        "--way",
        choices=WAYS,
        help="how they share a device: one wide program, a loop in a program, or one "
        "after another (default: vmap on accelerators, unrolled on the CPU)",
    )
    add(
        "--keep_all",
        action="store_true",
        help="keep the checkpoints of all settings, not of the best alone",
    )


def _add_search_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--sampler",
        choices=("tpe", "random", "grid", "sobol"),
        default="tpe",
        help="who picks the values (%(default)s)",
    )
    add(
        "--sampler_seed",
        metavar="SEED",
        type=int,
        default=0,
        help="of it (%(default)s)",
    )
    add(
        "--pruner",
        choices=("hyperband", "none"),
        default="hyperband",
        help="who stops bad settings early (%(default)s)",
    )
    add(
        "--seeds",
        metavar="N",
        type=int,
        default=5,
        help="other seeds with which the best setting is trained again, to show what "
        "chance alone does (%(default)s)",
    )


def _add_sharing_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--storage",
        metavar="URL",
        help="postgresql://USER@HOST/DATABASE; or FILE.journal on a shared disk "
        "(default: study.sqlite in the workdir)",
    )
    group.add_argument(
        "--study", metavar="NAME", help="in the storage (default: the experiment's)"
    )
    group.add_argument(
        "--worker",
        metavar="NAME",
        help="one that no other process has; who comes back under it takes up its own "
        "settings at once (default: the machine's, numbered)",
    )
    group.add_argument(
        "--beat_s",
        metavar="SECONDS",
        type=_count,
        default=60,
        help="between two signs of life to the storage (%(default)s)",
    )
    group.add_argument(
        "--grace_s",
        metavar="SECONDS",
        type=_count,
        default=180,
        help="without one, after which others take a process's settings (%(default)s)",
    )
    group.add_argument(
        "--patience_s",
        metavar="SECONDS",
        type=_count,
        default=60,
        help="how long to wait for a storage that does not answer (%(default)s)",
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
