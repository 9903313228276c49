"""Trains mrm_jax and a plain PyTorch loop on the same batches and compares them.

--mode same_weights  Both start from the same weights, without dropout. Reports loss and
                     validation macro AUC of every epoch, and their differences. PyTorch
                     trains again from weights moved by one unit in the last place
                     (ulp). Rounding errors grow from step to step, and this run shows
                     how much they grow in this training.
--mode seeds         Each side has its own initial weights and dropout, on the batches
                     of the seed. Reports macro AUC after the last epoch, as mean ± sd
                     over seeds.

PyTorch trains the reference network. "seconds" is the time of these sequential runs,
including compilation and scoring. It is not a measure of speed.

Example:
  python -m benchmarks.parity_training --config experiments/demo.py \\
      --config.num_epochs=8 --out benchmarks/results/parity_demo
"""

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections
from absl import flags

from benchmarks import parity_figure, parity_report
from mrm_jax.metrics import classification
from mrm_jax.runtime import atomic, compiler, console, devices
from mrm_jax.training import config as config_lib
from mrm_jax.training import run_spec
from mrm_jax.training.hparams import HParams

SETTABLE = ("learning_rate", "dropout_rate")  # the PyTorch loop fixes other hparams
WITHOUT_EFFECT = ("total_steps",)  # at a constant rate
OVERRIDE = "--config."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parse(arguments)
    command = shlex.join(["python", "-m", "benchmarks.parity_training", *arguments])
    try:
        config = config_lib.load(args.config, args.overrides)
        spec = read_plan(config, args.mode)
        _check_torch(args.torch_device)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        console.say(f"{spec.headline()}\n{_describe_work(spec, args)}")
        compiler.set_up()
        facts = parity_report.facts(spec, args.mode, args.torch_device, command)
        compare = compare_same_weights if args.mode == "same_weights" else compare_seeds
        _write(args.out, facts | compare(spec, args))
    except ModuleNotFoundError as error:
        print(f"error: {error}; `make parity` installs PyTorch", file=sys.stderr)
        return 2
    except (ValueError, OSError, FloatingPointError, flags.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_plan(config: ml_collections.ConfigDict, mode: str) -> run_spec.RunSpec:
    """Returns the run spec of an experiment, without dropout in mode same_weights.

    Raises:
        ValueError: if the PyTorch loop does not support it, or if no macro AUC is
            defined.
    """
    if mode == "same_weights":
        config.hparams.dropout_rate = 0.0
    spec = run_spec.build_run_spec(config)
    recipe = dataclasses.asdict(HParams())
    asked = dataclasses.asdict(spec.hparams)
    fixed = recipe.keys() - {*SETTABLE, *WITHOUT_EFFECT}
    other = sorted(name for name in fixed if asked[name] != recipe[name])
    if other:
        raise ValueError(
            f"hparams: expected {other} as in experiments/base.py, found other values. "
            f"The PyTorch loop supports other values only for {SETTABLE}."
        )
    if spec.described_labels.records["train"] % spec.batch_size == 1:
        raise ValueError(
            f"batch_size {spec.batch_size} leaves a last batch of one record, which "
            "PyTorch's batch norm does not support. Choose another --config.batch_size."
        )
    for split in ("val", "test"):
        labels = spec.data.split(spec.label_set, split).labels
        if not classification.has_both_classes(labels).any():
            raise ValueError(
                f"{spec.data.folder}: no label of {spec.label_set} is both present and "
                f"absent in the {split} records. Use more records."
            )
    return spec


def compare_same_weights(
    spec: run_spec.RunSpec, args: argparse.Namespace
) -> dict[str, Any]:
    """Returns the curves of runs from the same weights, and their differences."""
    from benchmarks import parity_runs  # imports torch

    runs = parity_runs.same_weights(spec, args.torch_device)
    curves = {name: dataclasses.asdict(run) for name, run in runs.items()}
    difference = {
        name: parity_report.differences(curves[name], curves["pytorch"])
        for name in ("mrm_jax", "pytorch_moved")
    }
    for name, found in difference.items():
        console.say(parity_report.difference_line(name, found))
    return {"absolute_difference": difference, "curves": curves}


def compare_seeds(spec: run_spec.RunSpec, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the final macro AUC of every seed, and mean ± sd over the seeds."""
    from benchmarks import parity_runs  # imports torch

    seeds = list(range(spec.seed, spec.seed + args.seeds))
    runs = [
        parity_runs.own_weights(dataclasses.replace(spec, seed=seed), args.torch_device)
        for seed in seeds
    ]
    curves = {name: [dataclasses.asdict(run[name]) for run in runs] for name in runs[0]}
    final = {
        name: parity_report.final_aucs(of_name) for name, of_name in curves.items()
    }
    summary = {
        split: parity_report.summary(final["mrm_jax"][split], final["pytorch"][split])
        for split in ("val", "test")
    }
    for split, found in summary.items():
        console.say(parity_report.summary_line(split, found))
    return {"seeds": seeds, "summary": summary, "final_auc": final, "curves": curves}


def _check_torch(device: str) -> None:
    """Checks before training that PyTorch has the device."""
    import torch  # imported here because --help works without it

    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--torch_device {device}: {reason}") from None


def _write(out: Path, report: dict[str, Any]) -> None:
    paths = [out.with_name(out.name + suffix) for suffix in (".json", ".png")]
    with atomic.replacing(paths[0]) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    draw = {"same_weights": parity_figure.same_weights, "seeds": parity_figure.seeds}
    draw[report["mode"]](report, paths[1])
    console.say(f"results: {paths[0]}, {paths[1]}")


def _describe_work(spec: run_spec.RunSpec, args: argparse.Namespace) -> str:
    batches = -(-spec.described_labels.records["train"] // spec.batch_size)
    each = f"{spec.num_epochs} epochs of {batches} steps of {spec.batch_size} records"
    where = f"mrm_jax on {devices.describe()}, PyTorch on {args.torch_device}"
    num_runs = 3 if args.mode == "same_weights" else 2 * args.seeds
    return f"{args.mode}: {num_runs} runs, each {each}; {where} -> {args.out}"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the flags; `overrides` holds the values to override."""
    parser = _parser()
    args, overrides = parser.parse_known_args(arguments)
    unknown = [text for text in overrides if not text.startswith(OVERRIDE)]
    if unknown:
        parser.error(
            f"Found unexpected arguments {unknown}. Override values with "
            f"{OVERRIDE}NAME=VALUE."
        )
    if args.seeds < 2:
        parser.error(f"--seeds: expected 2 or more, got {args.seeds}")
    args.overrides = overrides
    return args


def _parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.parity_training",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        required=True,
        help=f"experiment file, such as experiments/demo.py; required. "
        f"{OVERRIDE}NAME=VALUE overrides its values and may be repeated. "
        "`python -m mrm_jax.train --help` lists the values",
    )
    parser.add_argument(
        "--mode",
        choices=("same_weights", "seeds"),
        default="same_weights",
        help="kind of comparison, see below (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=5,
        help="number of runs of each side in mode seeds, starting with the seed of the "
        "experiment; 2 or more (default: %(default)s)",
    )
    parser.add_argument(
        "--torch_device",
        default="cpu",
        help="device of PyTorch, such as cuda (default: %(default)s); mrm_jax uses the "
        "devices that JAX finds",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="path of the results, OUT.json and OUT.png; required",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
