"""Trains runs for a table of results, one after another or several at once.

The command may be stopped at any time. Run it again to resume the unfinished runs, each
from its last checkpoint. The files of a finished run that the tables need (report,
scores, metrics, thresholds, model card) are copied to --results at once. Its weights
stay in --workdir. The most important runs come first, so that the tables are useful
wherever the command stops.

Several runs share the machine with --jobs, each with its share of the CPU cores. On an
accelerator (--jobs 6), a run with few records leaves most of the device idle. On two
CPU cores, two runs of one core each trained 22.7 records/s together, and one run on
both cores 15.7.

Example: python -m benchmarks.evidence --data shards/ptbxl_subset --jobs 2
The tables: python -m benchmarks.evidence_tables
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
HAS_AFFINITY = hasattr(os, "sched_setaffinity")  # Linux
KEPT = ("report.json", "scores.npz", "metrics.csv", "thresholds.json", "MODEL_CARD.md")
PTBXL = "experiments/ptbxl_superdiagnostic.py"
TUNED = "experiments/tuned.py"
EPOCHS = 16  # runs of the reference recipe were best at epochs 10 to 16


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the tables: an experiment and its seeds."""

    name: str
    title: str
    experiment: str
    seeds: tuple[int, ...] = (1, 2, 3)
    label_set: str = "superdiagnostic"
    table: str = ""  # that shows it; default: the one of its label set
    values: tuple[str, ...] = ()  # further values of the configuration
    times_epochs: int = 1  # of the runs with all records


def _rows() -> tuple[Row, ...]:
    baselines = {
        "xresnet1d101": "xresnet1d101",
        "resnet1d_wang": "resnet1d_wang",
        "s4": "S4",
        "inception1d": "inception1d",
    }
    plain = {
        name: Row(name, title, f"experiments/{name}.py")
        for name, title in baselines.items()
    }
    tuned = [
        Row(f"tuned_{name}", f"{title}, tuned recipe", f"{TUNED}:{name}")
        for name, title in baselines.items()
    ]

    def variant(name: str, title: str) -> Row:
        """Returns the row of an experiment that is named like it."""
        return Row(name, f"MRM-Net, {title}", f"experiments/{name}.py")

    return (
        Row("reference", "MRM-Net, reference recipe", PTBXL),
        Row("tuned", "MRM-Net, tuned recipe", TUNED),
        variant("no_mutual_loss", "no mutual loss"),
        *(plain[name] for name in ("xresnet1d101", "resnet1d_wang", "s4")),
        *_transfer(),
        variant("high_only", "high branch only"),
        variant("low_only", "low branch only"),
        variant("mutual_every_stage", "mutual loss after every stage"),
        plain["inception1d"],
        variant("time_aligned", "time-aligned pairing"),
        variant("exchange", "exchange of features"),
        *tuned,
        *_other_label_sets(),
    )


def _other_label_sets() -> list[Row]:
    """Returns the rows of label sets that have one seed."""
    return [
        Row(f"{row}_{labels}", title, experiment, (1,), labels)
        for labels in ("all", "rhythm")
        for row, title, experiment in (
            ("reference", "MRM-Net, reference recipe", PTBXL),
            ("tuned", "MRM-Net, tuned recipe", TUNED),
            ("xresnet1d101", "xresnet1d101", "experiments/xresnet1d101.py"),
        )
    ]


def _transfer() -> list[Row]:
    """Returns the rows that compare fine-tuning with new weights on few records."""
    tenth = ("data.folds.train=(1,)",)
    pretrained = (*tenth, "init.run=ptbxl-subset-superdiagnostic")
    row = Row("", "", PTBXL, label_set="rhythm", table="transfer", times_epochs=2)
    return [
        dataclasses.replace(row, name=name, title=title, values=values)
        for name, title, values in (
            ("rhythm_tenth", "MRM-Net, new weights", tenth),
            ("rhythm_tenth_pretrained", "MRM-Net, fine-tuned", pretrained),
        )
    ]


ROWS = _rows()  # in the order of their value, in which they are trained


@dataclasses.dataclass(frozen=True)
class Task:
    """Training of one row with one seed."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Subfolder of the run, in the workdir and in the results."""
        return f"{self.row.name}/seed{self.seed}"

    def command(self, args: argparse.Namespace, extra: Sequence[str]) -> list[str]:
        """Returns the command that starts or resumes the training."""
        config = {
            "name": f"{self.row.label_set}_{self.row.name}",
            "seed": str(self.seed),
            "data.shards": args.data,
            "data.label_set": self.row.label_set,
            "num_epochs": str(args.epochs * self.row.times_epochs),
        }
        values = [f"{name}={value}" for name, value in config.items()]
        values += self.row.values
        return [
            *(sys.executable, "-m", "mrm_jax.train"),
            *("--config", self.row.experiment),
            *("--workdir", str(args.workdir / self.name)),
            *(f"--config.{value}" for value in values),
            *extra,
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Trains the unfinished runs and returns the exit status."""
    args, extra = _parse(argv)
    rows = [row for row in ROWS if not args.only or row.name in args.only]
    # The first seed of every row comes first: its compiled program serves the others.
    tasks = [Task(row, seed) for seed in (1, 2, 3) for row in rows if seed in row.seeds]
    if not args.seeds_last:
        tasks.sort(key=lambda task: rows.index(task.row))
    deadline = time.monotonic() + 60 * args.minutes if args.minutes else None
    cores = iter(_shares_of_cores(args.jobs))
    with concurrent.futures.ThreadPoolExecutor(
        args.jobs, initializer=lambda: _use_cores(next(cores))
    ) as pool:
        done = list(pool.map(lambda task: _train(task, args, extra, deadline), tasks))
    print(f"{sum(done)} of {len(tasks)} runs are finished")
    return 0 if all(done) else 1


def _shares_of_cores(jobs: int) -> list[set[int]]:
    """Returns the cores of each job; every one gets at least one."""
    cores = sorted(os.sched_getaffinity(0)) if HAS_AFFINITY else [0]
    return [set(cores[job % len(cores) :: jobs]) for job in range(jobs)]


def _use_cores(cores: set[int]) -> None:
    """Restricts this thread, and the processes that it starts, to some cores."""
    if HAS_AFFINITY:
        os.sched_setaffinity(0, cores)


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
                    task.command(args, extra),
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
    add("--epochs", type=int, default=EPOCHS, help="(default: %(default)s)")
    add("--jobs", type=int, default=1, help="runs at once (default: %(default)s)")
    add("--only", nargs="+", choices=[row.name for row in ROWS], help="rows to train")
    add("--minutes", type=float, help="time limit in minutes (default: none)")
    help_ = "train one seed of every row first (default: all seeds of a row)"
    add("--seeds_last", action="store_true", help=help_)
    return parser.parse_known_args(argv)


if __name__ == "__main__":
    sys.exit(main())
