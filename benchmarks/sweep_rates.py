"""Compares sweeps that train many trials at once with one process per trial.

Every trial is trained for the same number of epochs, with the scores, metrics and
checkpoints of each epoch. "Alone" is a new process for each trial (a sweep with one
trial, so that both do the same work). Processes with one trial and with several take
turns. The time includes start and compilation, with the compilation cache of an earlier
run.

With --search, it instead measures how long a sequential search with the given number of
trials takes to reach its best value on the validation split, and how long a population
takes to reach the same value.

Example: python -m benchmarks.sweep_rates --settings 1 4 --rounds 2
"""

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna

from benchmarks import harness, population_tables
from mrm_jax.sweeps import search

COMMON = ("--seeds=0", "--sampler_seed=1")
LONG = ("--pruner=none", "--sampler=random")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args, overrides = _parse(argv)
    try:
        if args.search:
            return _search(args, overrides)
        return _rates(args, overrides)
    except subprocess.CalledProcessError as error:
        print(f"error: a sweep failed: {error}\n{error.stderr}", file=sys.stderr)
        return 1


def _rates(args: argparse.Namespace, overrides: Sequence[str]) -> int:
    words = [f"--config={args.config}", *overrides, *LONG]
    _sweep([*words, "--trials=1", "--population=1"])  # fills the compilation cache
    points = []
    for settings in args.settings:
        point: dict[str, Any] = {"settings": settings, "together": [], "alone": []}
        for _ in range(args.rounds):
            one = _sweep([*words, "--trials=1", "--population=1"])
            point["alone"].append(one[0])
            together = [f"--trials={settings}", f"--population={settings}"]
            point["together"].append(_sweep([*words, *together])[0])
        print(point, flush=True)
        points.append(point)
    entry = {"command": " ".join(words), "rounds": args.rounds, "points": points}
    return _save(args, "sweep_rates", entry, population_tables.processes)


def _search(args: argparse.Namespace, overrides: Sequence[str]) -> int:
    words = [f"--config={args.config}", *overrides]
    points, goal = [], None
    for population in (1, args.population):
        given = [f"--trials={args.search}", f"--population={population}"]
        seconds, reached = _sweep([*words, *given])
        best = max(value for _, value in reached)
        goal = best if goal is None else goal
        point = {
            "population": population,
            "trials": args.search,
            "best": best,
            "seconds": seconds,
            "to_goal": min((at for at, v in reached if v >= goal), default=None),
        }
        print(point, flush=True)
        points.append(point)
    entry = {"command": " ".join(words), "points": points}
    return _save(args, "sweep_search", entry, population_tables.search)


def _save(
    args: argparse.Namespace, name: str, entry: dict[str, Any], table: Any
) -> int:
    shown = {"this machine": {name: {"machine": harness.machine(), **entry}}}
    print(f"\n{table(shown)}")
    harness.save(args.out, name, entry)
    return 0


def _sweep(words: Sequence[str]) -> tuple[float, list[tuple[float, float]]]:
    """Runs a sweep; returns its seconds and (seconds, value) of each of its trials."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mrm_jax.sweep", f"--workdir={folder}"]
        begun = datetime.datetime.now()
        start = time.perf_counter()
        subprocess.run(
            [*command, *COMMON, *words],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "MPLBACKEND": "agg"},
        )
        seconds = time.perf_counter() - start
        storage = f"sqlite:///{Path(folder) / search.STUDY_FILE}"
        (summary,) = optuna.get_all_study_summaries(storage)
        study = optuna.load_study(study_name=summary.study_name, storage=storage)
        reached = [
            ((trial.datetime_complete - begun).total_seconds(), trial.value)
            for trial in study.trials
            if trial.datetime_complete is not None and trial.value is not None
        ]
    return seconds, reached


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = harness.flags(__doc__, rounds=2)
    parser.add_argument(
        "--config",
        default="experiments/sweeps/demo.py",
        help="sweep file; --config.NAME=VALUE overrides its values (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--settings",
        type=int,
        nargs="+",
        default=[1, 2, 4, 8, 16],
        help="numbers of trials to train at once (default: %(default)s)",
    )
    parser.add_argument(
        "--search",
        type=int,
        metavar="TRIALS",
        help="measure searches with this number of trials instead",
    )
    parser.add_argument(
        "--population",
        type=int,
        default=8,
        help="trials at once in the second search (default: %(default)s)",
    )
    return parser.parse_known_args(argv)


if __name__ == "__main__":
    sys.exit(main())
