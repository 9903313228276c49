"""Exports a run's network to a file for other software and verifies it.

  python -m mrm_jax.export --run runs/cpsc2018 --format onnx

Formats:
  onnx        model.onnx, for onnxruntime and compatible runtimes
  stablehlo   model.stablehlo.zip, for jax.export without mrm_jax, on CPU, CUDA and TPU
  torch       model.pt2, for torch.export without mrm_jax
  npz         model.npz, all arrays by name, for NumPy

All formats but npz take signal_mv, float32 [batch, time, lead] in mV at the run's
sampling rate, with any batch size. They return scores_mean, scores_high and scores_low,
[batch, label]. Standardisation is included. The metadata in the file contain labels,
leads, sampling rate, thresholds and the provenance of the run. To export only the
weights for PyTorch, use `python -m mrm_jax.convert --to_torch`.

Shards hold whole microvolts. Round a signal of finer resolution to three decimals of a
millivolt to get the scores of its shards. Otherwise scores differ by up to 1e-3.

A .npz file can take the place of a run's folder in every command, and in
mrm_jax.load. With --precision float16 it has half of the size.

The exported file is reloaded and its scores are verified against the run (tolerance
1e-5, with float16 1e-2) before it replaces an existing file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mrm_jax.data import shards
from mrm_jax.interop import exporter, verify
from mrm_jax.runs import trained_run, weights_file
from mrm_jax.runtime import cli, compiler, console


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and exports; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    args = _flags().parse_args(cli.rename_flags(given, {"--workdir": "--run"}))
    return cli.run(
        lambda: _export(args),
        interrupted="Interrupted. Nothing was written.",
        errors=(ImportError,),
    )


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m mrm_jax.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    cli.add_version(flags)
    flags.add_argument("--run", type=Path, required=True, help=trained_run.HELP)
    flags.add_argument(
        "--format", choices=exporter.FORMATS, required=True, help="format of the file"
    )
    flags.add_argument(
        "--out", metavar="FILE", type=Path, help="output file (default: RUN/model.*)"
    )
    flags.add_argument(
        "--precision",
        choices=weights_file.PRECISIONS,
        default=weights_file.FLOAT32,
        help="precision of the parameters in a .npz file (default: %(default)s)",
    )
    compared = flags.add_mutually_exclusive_group()
    compared.add_argument(
        "--data",
        metavar="SHARDS",
        type=Path,
        help="verify on the test records of these shards (default: the shards of the "
        "training, at their original path)",
    )
    compared.add_argument("--without_data", action="store_true", help="verify on noise")
    return flags


def _export(args: argparse.Namespace) -> None:
    if args.precision != weights_file.FLOAT32 and args.format != "npz":
        raise ValueError(
            f"--precision {args.precision} is for --format npz. The other formats "
            "store the parameters in float32."
        )
    exporter.FORMATS[args.format].require()
    compiler.set_up()
    run = trained_run.read(args.run)
    if args.out is None:
        run.require_folder("--out")
    data = None if args.without_data else _shards(run, args.data)
    run = exporter.with_data(run, data)
    records = verify.of_noise(run)
    if data is not None:
        records = verify.of_shards(data, run.data["leads"])
    path = args.out or run.workdir / f"model{exporter.FORMATS[args.format].SUFFIX}"
    console.say(
        f"{run.workdir}: epoch {run.epoch}, {len(run.labels)} labels, signals of "
        f"{run.model.num_samples} x {len(run.data['leads'])} in mV at "
        f"{run.data['sampling_rate']} Hz\n"
        f"writing {args.format}, verifying on {records.source}"
    )
    result = exporter.export(run, args.format, path, records, args.precision)
    if result.rounding is not None:
        console.say(
            "the file computes in float32, the run in bfloat16: their scores differ by "
            f"at most {result.rounding:.1e}"
        )
    sizes = ", ".join(map(str, verify.batch_sizes(len(records.names))))
    console.say(
        f"reloaded and scored in batches of {sizes}: scores equal within "
        f"{result.difference:.1e}\n{result.num_bytes / 2**20:.1f} MiB -> {path}"
    )


def _shards(run: trained_run.TrainedRun, folder: Path | None) -> shards.Shards:
    """Opens the shards on which the file is verified.

    Raises:
        ValueError: if the shards are unknown or cannot be opened.
    """
    folder = folder or run.metadata["config"]["data"]["shards"]
    try:
        if folder is None:
            raise ValueError(
                f"{run.workdir}: this run was imported without dataset information."
            )
        return shards.load(folder)
    except ValueError as error:
        raise ValueError(
            f"{error}\nThe exported file is verified on records. Pass their shards "
            "with --data, or verify on noise with --without_data."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
