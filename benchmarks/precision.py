"""Measures the effect of bfloat16 on the scores and AUC of trained networks.

It trains the same experiment in float32 and in bfloat16 with several seeds, and scores
the test fold with each float32 network in both precisions. The first comparison shows
what training in bfloat16 costs, relative to the seed-to-seed variance. The second shows
the effect of rounding on given weights.

Example: python -m benchmarks.precision --config experiments/demo.py --seeds 4
"""

import itertools
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
from absl import flags as absl_flags

from benchmarks import harness
from mrm_jax.metrics import classification
from mrm_jax.runs import experiment
from mrm_jax.runtime import compiler, devices
from mrm_jax.training import checkpoints, run_spec, scoring, train_state
from mrm_jax.training import config as config_lib

EXACT, SHORT = "float32", "bfloat16"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__, rounds=None)
    harness.add_config_flag(parser)
    parser.add_argument(
        "--seeds", type=int, default=4, help="number of seeds (default: %(default)s)"
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        default=Path("runs/precision"),
        help="folder of the runs; finished runs are not repeated (default: "
        "%(default)s)",
    )
    args, overrides = parser.parse_known_args(argv)
    compiler.set_up()
    try:
        config = config_lib.load(args.config, overrides)
        runs = {
            (dtype, seed): _train(config, dtype, seed, args.workdir)
            for seed, dtype in itertools.product(range(args.seeds), (EXACT, SHORT))
        }
        entry = _compare(config, runs, args.seeds, args.workdir)
    except (ValueError, OSError, absl_flags.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print(entry)
    harness.save(args.out, "precision", entry, part=config.name)
    return 0


def _with(config: ml_collections.ConfigDict, dtype: str, seed: int) -> Any:
    changed = config.copy_and_resolve_references()
    changed.model.compute_dtype, changed.seed = dtype, seed
    return changed


def _train(
    config: ml_collections.ConfigDict, dtype: str, seed: int, workdir: Path
) -> dict[str, Any]:
    """Trains a run unless it is finished, and returns its report."""
    changed = _with(config, dtype, seed)
    return experiment.train_and_evaluate(changed, _folder(workdir, dtype, seed))


def _folder(workdir: Path, dtype: str, seed: int) -> Path:
    return workdir / f"{dtype}_seed{seed}"


def _compare(
    config: ml_collections.ConfigDict,
    runs: dict[tuple[str, int], dict[str, Any]],
    seeds: int,
    workdir: Path,
) -> dict[str, Any]:
    aucs = {
        dtype: [runs[dtype, s]["test"]["mean"]["macro_auc"] for s in range(seeds)]
        for dtype in (EXACT, SHORT)
    }
    differences = [b - a for a, b in zip(aucs[EXACT], aucs[SHORT], strict=True)]
    return {
        "config": config.to_dict(),
        "trained_in": aucs,
        "difference": differences,
        "mean_difference": statistics.mean(differences),
        "sd_difference": statistics.stdev(differences) if seeds > 1 else 0.0,
        "same_weights": [
            _rescore(config, seed, _folder(workdir, EXACT, seed))
            for seed in range(seeds)
        ],
    }


def _rescore(
    config: ml_collections.ConfigDict, seed: int, folder: Path
) -> dict[str, float]:
    """Scores a network trained in float32 in both precisions and compares them."""
    with checkpoints.open_existing(folder) as manager:
        best = manager.best_step()
        specs = [
            run_spec.build_run_spec(_with(config, dtype, seed))
            for dtype in (EXACT, SHORT)
        ]
        like = train_state.shapes(specs[0].model)
        state = devices.replicate(checkpoints.restore(manager, best, like))
    exact, short = (_score(state, spec_) for spec_ in specs)
    labels = exact.labels
    auc, changed = (
        float(classification.evaluate(found.heads["mean"], labels)["macro_auc"])
        for found in (exact, short)
    )
    moved = np.abs(exact.heads["mean"] - short.heads["mean"])
    return {
        "macro_auc": auc,
        "macro_auc_bfloat16": changed,
        "largest_score_difference": float(moved.max()),
        "median_score_difference": float(np.median(moved)),
    }


def _score(state: Any, spec_: run_spec.RunSpec) -> Any:
    loader = scoring.loader(spec_, "test")
    return scoring.predict(spec_.model, state, loader, spec_.batch_size)


def _print(entry: dict[str, Any]) -> None:
    print("\ntest macro AUC (mean of both heads), by training precision")
    print(f"{'seed':>6}{EXACT:>12}{SHORT:>12}{'difference':>13}")
    rows = zip(*entry["trained_in"].values(), entry["difference"], strict=True)
    for seed, (exact, short, difference) in enumerate(rows):
        print(f"{seed:6}{exact:12.4f}{short:12.4f}{difference:+13.4f}")
    spread = f"{entry['mean_difference']:+.4f} ± {entry['sd_difference']:.4f}"
    print(f"{'mean ± sd':>30}{spread:>20}")
    print("\nfloat32 networks, scored in both precisions")
    print(f"{'seed':>6}{EXACT:>12}{SHORT:>12}{'largest score change':>26}")
    for seed, row in enumerate(entry["same_weights"]):
        print(
            f"{seed:6}{row['macro_auc']:12.5f}{row['macro_auc_bfloat16']:12.5f}"
            f"{row['largest_score_difference']:26.4f}"
        )


if __name__ == "__main__":
    sys.exit(main())
