"""Converts a PyTorch checkpoint to a run, or a run to a PyTorch checkpoint.

  python -m mrm_jax.convert --torch FILE.pth --labels LABELS.txt --run runs/imported
  python -m mrm_jax.convert --to_torch FILE.pth --run runs/cpsc2018

FILE contains a state dict, or a dictionary with "model_state_dict", "global_epoch",
"optimizer_state_dict" and "best_auc". A file that this command wrote also names its
labels, leads, unit and normalisation statistics; it needs no --labels. Evaluate an
imported run with

  python -m mrm_jax.evaluate --run runs/imported --data SHARDS

If the file contains the state of Adam, `python -m mrm_jax.train` with the same
experiment can also continue its training.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from mrm_jax.interop import conversion, torch_checkpoint
from mrm_jax.runs import trained_run
from mrm_jax.runtime import cli, console
from mrm_jax.training import config as config_lib
from mrm_jax.training import run_spec


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and converts; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    renamed = {"--workdir": "--run", "--shards": "--data"}
    arguments = cli.rename_flags(given, renamed)
    flags = _flags()
    args, overrides = flags.parse_known_args(arguments)
    unknown = [text for text in overrides if not text.startswith("--config.")]
    if unknown:
        flags.error(f"unrecognized arguments: {' '.join(unknown)}")
    command = cli.command_line("mrm_jax.convert", arguments)

    def work() -> None:
        """Converts in the direction that was asked for."""
        _check_used(args, overrides)
        if args.to_torch is None:
            _from_torch(args, overrides, command)
        else:
            _to_torch(args)

    return cli.run(
        work,
        interrupted="Interrupted. Run the same command again to start over.",
        errors=(ImportError, absl_flags.Error),
    )


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m mrm_jax.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    cli.add_version(flags)
    direction = flags.add_mutually_exclusive_group(required=True)
    direction.add_argument(
        "--torch", metavar="FILE", type=Path, help="checkpoint to read"
    )
    direction.add_argument(
        "--to_torch", metavar="FILE", type=Path, help="checkpoint to write"
    )
    flags.add_argument(
        "--run",
        type=Path,
        required=True,
        help=f"{trained_run.HELP}; with --torch, a new folder",
    )
    _add_reading_flags(flags.add_argument_group("with --torch"))
    writing = flags.add_argument_group("with --to_torch")
    writing.add_argument(
        "--newest",
        action="store_true",
        help="write the newest epoch, to continue training from (default: the best "
        "epoch on the validation split)",
    )
    return flags


def _add_reading_flags(reading: argparse._ArgumentGroup) -> None:
    reading.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="text file with one label per line, in the order of the outputs; required "
        "for files that PyTorch wrote",
    )
    reading.add_argument(
        "--data",
        metavar="FOLDER",
        help="shards that the network was trained on, for normalisation statistics, "
        "units and lead order (default: those in FILE, or unknown until an evaluation "
        "names them)",
    )
    reading.add_argument(
        "--config",
        metavar="FILE",
        help="experiment to continue with; --config.NAME=VALUE overrides its values "
        "(default: that in FILE, or base)",
    )
    reading.add_argument(
        "--drop",
        metavar="REGEX",
        action="append",
        default=[],
        help="pattern that matches full names of entries which no forward pass reads, "
        "to drop them; may be repeated; never drops an entry of the network",
    )
    reading.add_argument(
        "--without_adam",
        action="store_true",
        help="import only the weights, even if the file contains an optimiser",
    )


def _check_used(args: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Checks that no flag was given that belongs to the other direction.

    Raises:
        ValueError: if there is one; names the first.
    """
    if args.to_torch is None:
        direction, others = "--torch", {"--newest": args.newest}
    else:
        reading = ("labels", "data", "config", "drop", "without_adam")
        direction, others = (
            "--to_torch",
            {f"--{name}": getattr(args, name) for name in reading},
        )
        others |= dict.fromkeys(overrides, True)
    unused = [flag for flag, value in others.items() if value]
    if unused:
        raise ValueError(f"{unused[0]} has no effect with {direction}. Leave it out.")


def _from_torch(
    args: argparse.Namespace, overrides: Sequence[str], command: str
) -> None:
    checkpoint = torch_checkpoint.read(args.torch, with_optimizer=not args.without_adam)
    saved = conversion.metadata_of(checkpoint, args.torch)
    labels = conversion.labels_of(saved, args.labels, args.torch)
    if saved is None or args.config is not None or overrides:
        config = config_lib.load(args.config or "base", overrides)
    else:
        config = run_spec.saved_config(saved)
    with config.unlocked():
        config.data.shards, config.data.label_set = args.data, None
    state, facts = conversion.import_weights(checkpoint, labels, config, args.drop)
    facts["command"] = command
    conversion.write_run(args.run, state, facts, checkpoint.epoch)
    metric = "" if checkpoint.metric is None else f", best_auc {checkpoint.metric:.4f}"
    updates = int(state.step)
    console.say(
        f"{args.torch}: epoch {checkpoint.epoch}{metric}\n"
        f"{len(labels)} labels, width {config.model.width}, "
        + (f"Adam after {updates:,} updates" if updates else "no Adam state")
        + f", learning rate {config.hparams.learning_rate:g}"
        + f" -> {args.run}"
    )


def _to_torch(args: argparse.Namespace) -> None:
    checkpoint, facts = conversion.export_run(args.run, args.newest)
    torch_checkpoint.write(args.to_torch, checkpoint)
    count = sum(array.size for array in checkpoint.weights.values())
    moments = "no Adam state" if checkpoint.optimizer is None else "Adam's moments"
    console.say(
        f"{args.run}: epoch {checkpoint.epoch}, {len(facts['data']['labels'])} "
        f"labels, {count:,} values and {moments} -> {args.to_torch}"
    )


if __name__ == "__main__":
    sys.exit(main())
