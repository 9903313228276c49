"""Measures which share of the device's arithmetic and bandwidth the network uses.

The limits of the device are measured with a large convolution, a large matrix product
and a large copy. The work of the network is what XLA counts in its compiled program
(arithmetic, and bytes read and written between its parts), divided by the time of a
call. If both shares are low, the network is limited by launches, synchronisation or
small shapes rather than by arithmetic or bandwidth.

Example: python -m benchmarks.hardware --batches 96 --dtypes float32 bfloat16
"""

import itertools
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import harness, jax_side
from benchmarks import load as loads
from mrm_jax.models import convolutions

CONVOLUTION, PRODUCT, COPY = "convolution", "matrix product", "copy"
TAPS, CHANNELS, SAMPLES = 33, 64, 1004  # the network's largest convolution
PRODUCT_SIZE = 4096
COPY_SIZE = 2**26


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__)
    harness.add_network_flags(parser, (96,))
    harness.add_dtype_flag(parser)
    args = parser.parse_args(argv)
    found = {}
    for batch, dtype in itertools.product(args.batches, args.dtypes):
        load = loads.Load(batch, args.labels, args.samples)
        size = harness.describe(load, dtype)
        found[size] = _measure(load, dtype, args.rounds)
        _print(size, found[size])
    harness.save(args.out, "hardware", {"rounds": args.rounds, "used": found})
    return 0


def _measure(load: loads.Load, dtype: str, rounds: int) -> dict[str, dict[str, float]]:
    """Returns GFLOP/s and GB/s of each kind of work, and their shares of the limits."""
    side = jax_side.JaxSide(load, compute_dtype=dtype)
    limits = _limits(load.batch, dtype)
    ways = {
        **{name: way for name, (way, _, _) in limits.items()},
        "training": side.train,
        "scoring": side.score,
    }
    seconds = harness.alternate(ways, rounds, settle=True)
    done = {name: (flops, moved) for name, (_, flops, moved) in limits.items()}
    done |= {name: side.cost(name) for name in ("training", "scoring")}
    rates: dict[str, tuple[float, float]] = {}
    for name, (flops, moved) in done.items():
        typical = statistics.median(seconds[name])
        rates[name] = flops / typical / 1e9, moved / typical / 1e9
    arithmetic = max(rates[CONVOLUTION][0], rates[PRODUCT][0])
    return {
        name: {
            "gflop_per_s": gflops,
            "gb_per_s": gbytes,
            "share_of_arithmetic": gflops / arithmetic,
            "share_of_copy": gbytes / rates[COPY][1],
        }
        for name, (gflops, gbytes) in rates.items()
    }


def _limits(
    batch: int, dtype: str
) -> dict[str, tuple[Callable[[], Any], float, float]]:
    """Returns name -> function, its floating point operations and bytes moved."""
    width = jnp.dtype(dtype).itemsize
    signal = jnp.ones((batch, SAMPLES, CHANNELS), dtype)
    kernel = jnp.ones((TAPS, CHANNELS, CHANNELS), dtype)
    matrix = jnp.ones((PRODUCT_SIZE, PRODUCT_SIZE), dtype)
    convolve, multiply = jax.jit(convolutions.convolve), jax.jit(jnp.matmul)
    return {
        CONVOLUTION: (
            lambda: jax.block_until_ready(convolve(signal, kernel)),
            2.0 * signal.size * kernel.size / CHANNELS,
            width * (2.0 * signal.size + kernel.size),
        ),
        PRODUCT: (
            lambda: jax.block_until_ready(multiply(matrix, matrix)),
            2.0 * PRODUCT_SIZE**3,
            width * 3.0 * matrix.size,
        ),
        COPY: (_copy(dtype), 0.0, width * 2.0 * COPY_SIZE),
    }


def _copy(dtype: str) -> Callable[[], None]:
    """Returns a function that reads and writes every value of a large array in place.

    It works in place because mapping fresh memory is not a limit of the hardware. It
    negates the values because XLA optimises a plain copy away.
    """
    negate = jax.jit(jnp.negative, donate_argnums=(0,))
    values = jnp.ones(COPY_SIZE, dtype)

    def work() -> None:
        nonlocal values
        values = jax.block_until_ready(negate(values))

    return work


def _print(size: str, found: dict[str, dict[str, float]]) -> None:
    print(f"\nuse of the device: {size}")
    print(f"{'':16}{'GFLOP/s':>10}{'GB/s':>8}{'of arithmetic':>15}{'of copy':>9}")
    for name, row in found.items():
        print(
            f"{name:16}{row['gflop_per_s']:10,.0f}{row['gb_per_s']:8,.1f}"
            f"{row['share_of_arithmetic']:15.0%}{row['share_of_copy']:9.0%}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
