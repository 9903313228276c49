"""Trains runs for a table of results, one after another or several at once.

The command may be stopped at any time. Run it again to resume the unfinished runs, each
from its last checkpoint. The files of a finished run that the tables need (report,
scores, metrics, thresholds, model card) are copied to --results at once. Its weights
stay in --workdir. The most important runs come first, so that the tables are useful
wherever the command stops.

On an accelerator, several runs can share the device (--jobs 6), because a run with few
records leaves most of it idle.

Example: python -m benchmarks.evidence --data shards/ptbxl_subset --jobs 1
"""

import argparse
import concurrent.futures
import dataclasses
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mrm_jax.runtime import cli

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ptbxl_subset"
KEPT = ("report.json", "scores.npz", "metrics.csv", "thresholds.json", "MODEL_CARD.md")
PTBXL = "experiments/ptbxl_superdiagnostic.py"


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the tables: an experiment and its seeds."""

    name: str
    experiment: str
    seeds: tuple[int, ...] = (1, 2, 3)
    label_set: str = "superdiagnostic"
    values: tuple[str, ...] = ()  # --config.NAME=VALUE, without "--config."


ROWS = (
    Row("reference", PTBXL),
    Row("no_mutual_loss", "experiments/no_mutual_loss.py"),
    Row("xresnet1d101", "experiments/xresnet1d101.py"),
    Row("resnet1d_wang", "experiments/resnet1d_wang.py"),
    Row("s4", "experiments/s4.py"),
    Row("high_only", "experiments/high_only.py"),
    Row("low_only", "experiments/low_only.py"),
    Row("mutual_every_stage", "experiments/mutual_every_stage.py"),
    Row("inception1d", "experiments/inception1d.py"),
    Row("time_aligned", "experiments/time_aligned.py"),
    Row("exchange", "experiments/exchange.py"),
    Row("bernoulli", PTBXL, values=("model.logit_divergence=bernoulli",)),
    Row("reference_all", PTBXL, (1,), "all"),
    Row("reference_rhythm", PTBXL, (1,), "rhythm"),
    Row("reference_diagnostic", PTBXL, (1,), "diagnostic"),
    Row("reference_subdiagnostic", PTBXL, (1,), "subdiagnostic"),
    Row("reference_form", PTBXL, (1,), "form"),
)


@dataclasses.dataclass(frozen=True)
class Task:
    """Training of one row with one seed."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Subfolder of the run, in the workdir and in the results."""
        return f"{self.row.name}/seed{self.seed}"

    def command(self, data: str, workdir: Path, extra: Sequence[str]) -> list[str]:
        """Returns the command that starts or resumes the training."""
        config = {
            "name": f"{self.row.label_set}_{self.row.name}",
            "seed": str(self.seed),
            "data.shards": data,
            "data.label_set": self.row.label_set,
        }
        values = [f"{name}={value}" for name, value in config.items()]
        return [
            *(sys.executable, "-m", "mrm_jax.train"),
            *("--config", self.row.experiment, "--workdir", str(workdir / self.name)),
            *(f"--config.{value}" for value in [*values, *self.row.values]),
            *extra,
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Trains the unfinished runs and returns the exit status."""
    args, extra = _parse(argv)
    rows = [row for row in ROWS if not args.only or row.name in args.only]
    # The first seed of every row comes first: its compiled program serves the others.
    tasks = [
        Task(row, row.seeds[i]) for i in range(3) for row in rows if i < len(row.seeds)
    ]
    if not args.seeds_last:
        tasks.sort(key=lambda task: rows.index(task.row))
    deadline = time.monotonic() + 60 * args.minutes if args.minutes else None
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        done = list(pool.map(lambda task: _train(task, args, extra, deadline), tasks))
    print(f"{sum(done)} of {len(tasks)} runs are finished")
    return 0 if all(done) else 1


def _train(
    task: Task, args: argparse.Namespace, extra: Sequence[str], deadline: float | None
) -> bool:
    """Trains one run, copies its results and returns whether it is finished."""
    workdir, results = args.workdir / task.name, args.results / task.name
    left = None if deadline is None else deadline - time.monotonic()
    if not (workdir / "report.json").exists():
        if left is not None and left <= 0:
            return False
        workdir.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        with (workdir / "log.txt").open("a") as log:
            try:
                status = subprocess.run(
                    task.command(args.data, args.workdir, extra),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=left,
                    cwd=ROOT,
                    env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ},
                ).returncode
            except subprocess.TimeoutExpired:
                status = -1
        seconds = time.perf_counter() - start
        print(f"{task.name}: status {status} after {seconds:.0f} s", flush=True)
        if status:
            return False
    results.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copy2(workdir / name, results / name)
    return True


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog=cli.program(),
        description=summary,
        epilog=f"{rest}\nOther flags are passed on to every training.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", default="shards/ptbxl_subset", help="shards (default: %(default)s)")
    folder = Path("runs/evidence")
    add("--workdir", type=Path, default=folder, help="for runs (default: %(default)s)")
    add("--results", type=Path, default=RESULTS, help="(default: benchmarks/results/)")
    add("--jobs", type=int, default=1, help="runs at once (default: %(default)s)")
    add("--only", nargs="+", choices=[row.name for row in ROWS], help="rows to train")
    add("--minutes", type=float, help="time limit in minutes (default: none)")
    help_ = "train one seed of every row first (default: all seeds of a row)"
    add("--seeds_last", action="store_true", help=help_)
    return parser.parse_known_args(argv)


if __name__ == "__main__":
    sys.exit(main())
