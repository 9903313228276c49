"""Evaluates trained runs: scores records and reports metrics with intervals.

One run: all metrics of a split, each with a bootstrap interval, overall and by label,
for the scores of the high branch, the low branch and their mean.

  python -m mrm_jax.evaluate --run runs/cpsc2018
  python -m mrm_jax.evaluate --run runs/cpsc2018 --split val

Evaluating the run's own test fold rewrites its report. All other results go to
RUN/evaluations/SPLIT, or SPLIT-DATA for external data, and leave the report unchanged.

External data with the same kind of signals and labels (external validation). The run's
own normalisation statistics and thresholds are used. --split all scores every record:

  python -m mrm_jax.evaluate --run runs/ptbxl_form --data shards/my_hospital --split all

Data with other labels: only labels of the same meaning are compared, by their SNOMED CT
codes or by a CSV file with the columns label (of the run) and data_label:

  python -m mrm_jax.evaluate --run ptbxl-subset-all --data shards/georgia \\
      --map_labels --split all --out georgia

Paired comparison of runs B, C, ... with A on the same records and resamples. The
differences, their intervals and p-values go to RUN_A/evaluations/test-compared-with-B:

  python -m mrm_jax.evaluate --run runs/A --compare runs/B runs/C

Mean and standard deviation over runs that differ only in their seed, in
evaluations/test-seeds-3 of the first run:

  python -m mrm_jax.evaluate --run runs/seed1 runs/seed2 runs/seed3

Exit status: 0 done, 2 wrong input, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mrm_jax.data import splits
from mrm_jax.metrics import bootstrap
from mrm_jax.runs import evaluation, trained_run
from mrm_jax.runtime import cli, compiler


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and evaluates; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    words = cli.rename_flags(given, {"--workdir": "--run"})
    args = _flags().parse_args(words)
    command = cli.command_line("mrm_jax.evaluate", words)
    return cli.run(
        lambda: _run(args, command),
        interrupted="Interrupted. Nothing was written, and earlier results are "
        "unchanged. Run the same command again to start over.",
    )


def _run(args: argparse.Namespace, command: str) -> None:
    compiler.set_up()
    config = evaluation.EvaluationConfig(
        split=args.split,
        data=args.data,
        out=args.out,
        resamples=args.resamples or bootstrap.RESAMPLES,
        seed=bootstrap.SEED if args.seed is None else args.seed,
        command=command,
        map_labels=args.map_labels is not None,
        label_map=Path(args.map_labels) if args.map_labels else None,
    )
    if not args.compare:
        if len(args.run) == 1:
            evaluation.evaluate_run(args.run[0], config)
        else:
            _check_no_bootstrap(args)
            evaluation.summarise_seeds(args.run, config)
    elif len(args.run) == 1:
        evaluation.compare_runs([*args.run, *args.compare], config)
    else:
        raise ValueError(
            f"--compare compares runs with one run, but --run names {len(args.run)}. "
            "Give one run, or summarise the seeds of each configuration separately."
        )


def _check_no_bootstrap(args: argparse.Namespace) -> None:
    """Checks that nothing was asked for that only a bootstrap uses.

    Raises:
        ValueError: if a flag of the bootstrap was given.
    """
    for flag in ("resamples", "seed"):
        if getattr(args, flag) is not None:
            raise ValueError(
                f"--{flag} has no effect: a summary of several runs has standard "
                "deviations instead of bootstrap intervals. Leave it out."
            )


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m mrm_jax.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli.add_version(flags)
    flags.add_argument(
        "--run",
        metavar="RUN",
        type=Path,
        nargs="+",
        required=True,
        help=f"{trained_run.HELP}; or several runs that differ only in their seed",
    )
    flags.add_argument(
        "--split",
        choices=[*splits.NAMES, splits.ALL],
        default="test",
        help="split whose records are scored; all records only of external data "
        "(default: %(default)s)",
    )
    _add_data_flags(flags)
    flags.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="folder for the results (default: see above)",
    )
    _add_bootstrap_flags(flags.add_argument_group("intervals and comparisons"))
    return flags


def _add_data_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--data",
        metavar="SHARDS",
        help="folder of shards: the run's own if they have moved, or external data "
        "(default: the shards of the training, at their original path)",
    )
    flags.add_argument(
        "--map_labels",
        metavar="CSV",
        nargs="?",
        const="",
        help="compare the labels of --data that mean the same as those of the run "
        "(default of CSV: by SNOMED CT codes)",
    )


def _add_bootstrap_flags(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--compare",
        metavar="RUN",
        type=Path,
        nargs="+",
        help="runs to compare with the run given by --run",
    )
    flags.add_argument(
        "--resamples",
        metavar="N",
        type=cli.at_least(1),
        help=f"number of bootstrap resamples (default: {bootstrap.RESAMPLES})",
    )
    flags.add_argument(
        "--seed",
        metavar="N",
        type=cli.at_least(0),
        help=f"seed of the bootstrap, not of the runs (default: {bootstrap.SEED})",
    )


if __name__ == "__main__":
    sys.exit(main())
