"""Judges trained runs: scores records with their best epochs, with intervals.

One run: all metrics of a split, each with a bootstrap interval, overall and by label,
for the scores of the high branch, the low branch and their mean.

  python -m mrm_jax.evaluate --workdir runs/cpsc2018
  python -m mrm_jax.evaluate --workdir runs/cpsc2018 --split val

The run's own test fold rewrites its report. Everything else goes to
RUN/evaluations/SPLIT, or SPLIT-DATA for other data, where the run's report is left as
it was.

Other data than the run was trained on, if signals and labels are alike; they are
standardised, and thresholds chosen, as on the run's own:

  python -m mrm_jax.evaluate --workdir runs/ptbxl_form --data shards/my_hospital

Runs side by side, B, C, ... each with A, on the same records and the same resamples:
differences, their intervals and p-values, into RUN_A/evaluations/test-compared-with-B:

  python -m mrm_jax.evaluate --workdir runs/A --compare runs/B runs/C

Seeds: runs that differ in their seed alone, as mean and standard deviation, into
evaluations/test-seeds-3 of the first:

  python -m mrm_jax.evaluate --workdir runs/seed1 runs/seed2 runs/seed3

Exit status: 0 done, 2 wrong input, 130 interrupted.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mrm_jax.data import manifest
from mrm_jax.metrics import bootstrap
from mrm_jax.runs import evaluation
from mrm_jax.runtime import devices


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and evaluates; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _flags().parse_args(words)
    try:
        devices.use_compilation_cache()
        _run(args, shlex.join(["python", "-m", "mrm_jax.evaluate", *words]))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command starts again", file=sys.stderr)
        return 130
    return 0


def _run(args: argparse.Namespace, command: str) -> None:
    request = evaluation.Request(
        split=args.split,
        shards_dir=args.data,
        out=args.out,
        resamples=args.resamples,
        seed=args.seed,
        command=command,
    )
    if not args.compare:
        if len(args.workdir) == 1:
            evaluation.evaluate_run(args.workdir[0], request)
        else:
            evaluation.summarise_seeds(args.workdir, request)
    elif len(args.workdir) == 1:
        evaluation.compare_runs([*args.workdir, *args.compare], request)
    else:
        raise ValueError(
            f"--compare sets runs beside one run, found {len(args.workdir)} after "
            "--workdir; give one, or sum up the seeds of each setting by itself"
        )


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="mrm_jax.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument(
        "--workdir",
        metavar="RUN",
        type=Path,
        nargs="+",
        required=True,
        help="folder of a trained run; several: one setting's seeds",
    )
    flags.add_argument(
        "--split",
        choices=list(manifest.SPLIT_FOLDS),
        default="test",
        help="whose records are scored (default: %(default)s)",
    )
    flags.add_argument(
        "--data",
        metavar="SHARDS",
        help="folder of shards: the run's own at another place, or other data "
        "(default: the run's own, where they were at training)",
    )
    flags.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="for the results (default: see above)",
    )
    _add_bootstrap_flags(flags.add_argument_group("intervals and comparisons"))
    return flags


def _add_bootstrap_flags(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--compare",
        metavar="RUN",
        type=Path,
        nargs="+",
        help="runs to set beside the one after --workdir",
    )
    flags.add_argument(
        "--resamples",
        metavar="N",
        type=_positive,
        default=bootstrap.RESAMPLES,
        help="of the bootstrap (default: %(default)s)",
    )
    flags.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=bootstrap.SEED,
        help="of the bootstrap, not of the runs (default: %(default)s)",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
