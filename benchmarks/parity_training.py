"""Trains mrm_jax and a plain PyTorch loop on the same batches and compares them.

--mode same_weights  one start for both, dropout off: loss and validation macro AUC of
                     every epoch, and how far they lie apart. PyTorch trains once more
                     from weights moved by one unit in the last place (ulp): rounding
                     grows from step to step, and this shows how much in this training.
--mode seeds         each from its own start, with its own dropout, on the batches of
                     the seed: macro AUC after the last epoch, as mean ± sd over seeds.

PyTorch runs the network of tests/parity. "seconds" are those of these runs, one after
another with compilation and scoring; they are no measure of speed.

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
from mrm_jax.runtime import atomic, console, devices
from mrm_jax.training import config as config_lib
from mrm_jax.training import run_spec
from mrm_jax.training.train_state import HParams

SETTABLE = ("learning_rate", "dropout_rate")  # the PyTorch loop has the other hparams
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
        devices.use_compilation_cache()
        facts = parity_report.facts(spec, args.mode, args.torch_device, command)
        compare = compare_same_weights if args.mode == "same_weights" else compare_seeds
        _write(args.out, facts | compare(spec, args))
    except ModuleNotFoundError as error:
        print(f"error: {error}; make parity installs PyTorch", file=sys.stderr)
        return 2
    except (ValueError, OSError, FloatingPointError, flags.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_plan(config: ml_collections.ConfigDict, mode: str) -> run_spec.RunSpec:
    """Returns the plan of an experiment; same_weights takes its dropout out.

    Raises:
        ValueError: if the PyTorch loop cannot follow it, or no macro AUC is defined.
    """
    if mode == "same_weights":
        config.hparams.dropout_rate = 0.0
    spec = run_spec.build_run_spec(config)
    recipe = dataclasses.asdict(HParams())
    asked = dataclasses.asdict(spec.hparams)
    other = [n for n in recipe if asked[n] != recipe[n] and n not in SETTABLE]
    if other:
        raise ValueError(
            f"hparams: expected {other} as in experiments/base.py, found other values; "
            f"the PyTorch loop follows those of {SETTABLE} only"
        )
    if spec.described_labels.records["train"] % spec.batch_size == 1:
        raise ValueError(
            f"batch_size {spec.batch_size} leaves a last batch of one record, which "
            "PyTorch's batch norm refuses; give another --config.batch_size"
        )
    for split in ("val", "test"):
        labels = spec.data.split(spec.label_set, split).labels
        if not classification.has_both_classes(labels).any():
            raise ValueError(
                f"{spec.data.folder}: no label of {spec.label_set} is both present and "
                f"absent in the {split} records; more records are needed"
            )
    return spec


def compare_same_weights(
    spec: run_spec.RunSpec, args: argparse.Namespace
) -> dict[str, Any]:
    """Returns the curves of one start and how far they lie from PyTorch's."""
    from benchmarks import parity_runs  # it imports torch

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
    """Returns the last macro AUCs of every seed, and mean ± sd over the seeds."""
    from benchmarks import parity_runs  # as above

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
    """Refuses a device that PyTorch does not have before anything is trained."""
    import torch  # here, since --help does without it

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
    """Returns the flags, with the values to set in `overrides`."""
    parser = _parser()
    args, overrides = parser.parse_known_args(arguments)
    unknown = [text for text in overrides if not text.startswith(OVERRIDE)]
    if unknown:
        parser.error(f"unexpected {unknown}; values are set with {OVERRIDE}NAME=VALUE")
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
        help=f"experiment file, such as experiments/demo.py; required; with "
        f"{OVERRIDE}NAME=VALUE beside it, as often as needed, for its values, which "
        "python -m mrm_jax.train --help lists",
    )
    parser.add_argument(
        "--mode",
        choices=("same_weights", "seeds"),
        default="same_weights",
        help="what is compared, see below (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=5,
        help="runs of each in mode seeds, from the experiment's seed on; 2 or more "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--torch_device",
        default="cpu",
        help="where PyTorch computes, such as cuda (default: %(default)s); mrm_jax "
        "takes what JAX finds",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the results are OUT.json and OUT.png; required",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
