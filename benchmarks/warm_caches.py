"""Fills the compilation caches for the benchmarks of the network.

The benchmarks then start without compilation. Both sides can be compiled at the same
time: PyTorch keeps the CPU busy, whereas JAX also autotunes convolutions on the device.

Example: python -m benchmarks.warm_caches torch & python -m benchmarks.warm_caches jax
"""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import load as loads
from mrm_jax.runtime import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles all programs once and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=cli.program(), description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("side", choices=("torch", "jax"), help="side to compile")
    parser.add_argument("--batches", type=int, nargs="+", default=[96, 512])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--work", nargs="+", default=["train", "score"])
    help_ = "number of batches in a round at the first batch size"
    parser.add_argument("--steps", type=int, default=40, help=help_)
    args = parser.parse_args(argv)
    for work, batch, dtype in itertools.product(args.work, args.batches, args.dtypes):
        steps = max(2, args.steps * args.batches[0] // batch)
        start = time.perf_counter()
        getattr(_side(args.side, loads.Load(batch, batches=steps), dtype), work)()
        seconds = time.perf_counter() - start
        print(f"{args.side} {work} {batch} {dtype}: {seconds:.0f} s", flush=True)
    return 0


def _side(name: str, load: loads.Load, dtype: str) -> Any:
    if name == "torch":
        from benchmarks import torch_side

        half = dtype == "bfloat16"
        return torch_side.TorchSide(load, compiled=True, bfloat16=half)
    from benchmarks import jax_side

    return jax_side.JaxSide(load, compute_dtype=dtype)


if __name__ == "__main__":
    sys.exit(main())
