"""Creates a data set of synthetic (simulated) ECGs in CPSC2018's layout.

The records show the nine classes of CPSC2018. About one in eight records has two. The
class frequencies are similar to CPSC2018's, except that the rarest classes have more
records: from 300 records on, each of the ten folds has every class. The same seed gives
the same bytes. Use the records to try out the software. Results on them say nothing
about patients.

Example: python -m data_prep.synthetic --raw_dir data/synthetic \\
    --out shards/synthetic
"""

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np

from data_prep import (
    atomic_folder,
    build,
    command,
    cpsc2018,
    cpsc_writer,
    dask_cluster,
    workers,
)
from data_prep.simulator import model, waves
from mrm_jax.runtime import console

DATA_SET = "synthetic (CPSC2018 layout)"
MODEL_VERSION = 1  # raised when the same seed gives other signals
RECIPE = "synthetic.json"  # the recipe of a finished folder of raw records
BATCH = 5  # records per call of a worker

# Records per 1000 with these classes. Of two classes, either may be the first label.
SHARES = {
    ("Normal",): 125,
    ("AF",): 115,
    ("I-AVB",): 100,
    ("LBBB",): 55,
    ("RBBB",): 140,
    ("PAC",): 85,
    ("PVC",): 90,
    ("STD",): 95,
    ("STE",): 65,
    ("AF", "RBBB"): 30,
    ("PAC", "RBBB"): 15,
    ("PVC", "RBBB"): 15,
    ("I-AVB", "RBBB"): 15,
    ("AF", "STD"): 15,
    ("AF", "LBBB"): 10,
    ("PVC", "STD"): 10,
    ("LBBB", "PVC"): 8,
    ("PAC", "STD"): 7,
    ("I-AVB", "LBBB"): 5,
}
# Mean age in years; the standard deviation is 14. Disorders of conduction and rhythm
# become more frequent with age.
MEAN_AGE = {"Normal": 45, "PAC": 60, "PVC": 58}
MEAN_AGE_OF_OTHERS = 66


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The parameters that determine every byte of the raw records."""

    records: int
    seed: int
    model_version: int = MODEL_VERSION

    def __str__(self) -> str:
        """Returns the recipe as a data set's version."""
        return f"model-{self.model_version}-seed-{self.seed}-records-{self.records}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The classes and the fold of one record."""

    number: int
    classes: tuple[str, ...]  # the first label first
    fold: int

    @property
    def name(self) -> str:
        """Returns the record's name; CPSC2018's start with A."""
        return f"S{self.number:04d}"


def plan(recipe: Recipe) -> list[Plan]:
    """Returns the classes and folds of all records.

    Classes have their exact shares and are dealt to the folds in turn, so both are as
    balanced as possible. The assignment to records is random.

    Raises:
        ValueError: if there are fewer records than folds, or the seed is negative.
    """
    if recipe.records < 10 or recipe.seed < 0:
        raise ValueError(
            "expected --records of 10 (one per fold) or more and --seed of 0 or more, "
            f"found {recipe.records} and {recipe.seed}"
        )
    rng = np.random.default_rng(recipe.seed)
    numbers = rng.permutation(recipe.records) + 1
    swapped = rng.random(recipe.records) < 0.5
    plans = [
        Plan(int(number), classes[::-1] if swap else classes, i % 10 + 1)
        for i, (number, swap, classes) in enumerate(
            zip(numbers, swapped, _deal(recipe.records), strict=True)
        )
    ]
    return sorted(plans, key=lambda planned: planned.number)


def write_records(raw_dir: Path, recipe: Recipe, pool: workers.Workers) -> None:
    """Writes WFDB records, REFERENCE.csv and folds.csv, unless they exist already.

    Args:
        raw_dir: folder to create.
        recipe: parameters of the records.
        pool: pool that computes the records; this process writes them.

    Raises:
        ValueError: if `raw_dir` holds anything else.
    """
    plans = plan(recipe)
    if _finished(raw_dir, recipe, plans):
        return
    batches = [plans[i : i + BATCH] for i in range(0, len(plans), BATCH)]
    with (
        atomic_folder.building(raw_dir) as folder,
        workers.bar("simulating records", len(plans)) as advance,
    ):
        simulate = functools.partial(_simulate_batch, seed=recipe.seed)
        for records in pool.map(simulate, batches):
            for record in records:
                cpsc_writer.write_record(folder, record)
            advance(len(records))
        cpsc_writer.write_reference(
            folder, {planned.name: planned.classes for planned in plans}
        )
        cpsc_writer.write_folds(
            folder, {planned.name: planned.fold for planned in plans}
        )
        text = json.dumps(dataclasses.asdict(recipe))
        (folder / RECIPE).write_text(text + "\n")


def index(raw_dir: Path, recipe: Recipe) -> build.Index:
    """Returns the records that `write_records` wrote."""
    return cpsc2018.index(
        raw_dir, raw_dir / "folds.csv", data_set=DATA_SET, version=str(recipe)
    )


def _deal(num_records: int) -> list[tuple[str, ...]]:
    """Returns the classes of all records, grouped by kind."""
    ends = np.cumsum(list(SHARES.values())) / sum(SHARES.values())
    counts = np.diff(np.rint(ends * num_records).astype(int), prepend=0)
    return [kind for kind, n in zip(SHARES, counts, strict=True) for _ in range(n)]


def _finished(raw_dir: Path, recipe: Recipe, plans: Sequence[Plan]) -> bool:
    """Returns whether the folder holds the recipe's records; raises if others."""
    if not raw_dir.exists() or (raw_dir.is_dir() and not any(raw_dir.iterdir())):
        return False
    found = "other files"
    if (raw_dir / RECIPE).is_file():
        found = (raw_dir / RECIPE).read_text().strip()
        if found == json.dumps(dataclasses.asdict(recipe)):
            endings = (".hea", ".mat")
            names = {plan.name + ending for plan in plans for ending in endings}
            missing = names - {path.name for path in raw_dir.iterdir()}
            if not missing:
                return True
            found += f" without {len(missing)} of its files"
    raise ValueError(
        f"{raw_dir}: expected nothing or the records of {recipe}, found {found}. "
        "Choose another --raw_dir, or delete this folder."
    )


def _simulate_batch(plans: Sequence[Plan], seed: int) -> list[cpsc_writer.Record]:
    return [_simulate(planned, seed) for planned in plans]


def _simulate(planned: Plan, seed: int) -> cpsc_writer.Record:
    """Returns one record, from a generator of its own: any worker makes the same."""
    rng = np.random.default_rng((seed, planned.number))
    mean_age = MEAN_AGE.get(planned.classes[0], MEAN_AGE_OF_OTHERS)
    age = int(np.clip(rng.normal(mean_age, 14.0), 18, 92))
    sex = str(rng.choice(["Female", "Male"]))
    ecg = model.simulate(rng, planned.classes, age, _draw_length(rng))
    return cpsc_writer.Record(
        planned.name, ecg.signal_uv, waves.SAMPLING_RATE, planned.classes, age, sex
    )


def _draw_length(rng: np.random.Generator) -> int:
    """Returns a number of samples: 64 % 10 s, 6 % 6 to 10 s, and 30 % 10 to 20 s."""
    lengths_s = (10.0, rng.uniform(6.0, 10.0), rng.uniform(10.0, 20.0))
    return int(rng.choice(lengths_s, p=(0.64, 0.06, 0.30)) * waves.SAMPLING_RATE)


def _make_index(
    args: argparse.Namespace, cluster: dask_cluster.Cluster | None
) -> build.Index:
    recipe = Recipe(args.records, args.seed)
    pool = cluster or workers.Workers(joblib.effective_n_jobs(args.jobs))
    what = f"{DATA_SET} {recipe}: {recipe.records:,} raw records"
    console.say(f"{what}, {pool} -> {args.raw_dir}")
    write_records(args.raw_dir, recipe, pool)
    return index(args.raw_dir, recipe)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    flags = command.parser(__doc__)
    flags.add_argument(
        "--records",
        type=int,
        default=900,
        metavar="N",
        help="number of records (default: %(default)s)",
    )
    flags.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of all records (default: %(default)s)",
    )
    args = flags.parse_args(argv)
    return command.run(
        lambda cluster: _make_index(args, cluster), cpsc2018.reading(), args
    )


if __name__ == "__main__":
    sys.exit(main())
