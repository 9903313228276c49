"""Times the parts of the network on an accelerator, forward and backward.

Each part is repeated in a loop on the device. Its input is moved slightly by its
gradient after each step, so that XLA cannot skip any computation. If a part can be
computed in several ways, all of them are measured: grouped convolutions as dense blocks
of several widths and as XLA's own operation.

Example: python -m benchmarks.parts --batch 96 --dtypes float32 bfloat16
"""

import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp

from benchmarks import harness
from mrm_jax.models import convolutions, layers
from mrm_jax.models.mrm_net import attention, blocks, stem
from mrm_jax.runtime import devices

REPEATS = 50  # iterations on the device in one call
STEP = 1e-9  # factor by which a gradient moves the input of the next iteration


class GroupedByXla(nn.Module):
    """Grouped convolution as one XLA operation."""

    channels: int
    taps: int

    @nn.compact
    def __call__(self, signal: jax.Array) -> jax.Array:
        """Convolves a signal [batch, time, channels]."""
        width = convolutions.GROUP_WIDTH
        shape = (self.taps, width, self.channels)
        kernel = self.param("kernel", nn.initializers.ones, shape)
        return jax.lax.conv_general_dilated(
            signal,
            kernel.astype(signal.dtype),
            (1,),
            [(self.taps // 2, self.taps // 2)],
            dimension_numbers=("NWC", "WIO", "NWC"),
            feature_group_count=self.channels // width,
        )


def parts(batch: int) -> Iterator[tuple[str, nn.Module, tuple[int, int, int], int]]:
    """Yields name, module, input shape and width of dense blocks of each part."""
    block = convolutions.ACCELERATOR_BLOCK_WIDTH
    yield "convolution, 3 taps, 64", layers.Conv(64, 3), (batch, 502, 64), block
    yield "convolution, 3 taps, 128", layers.Conv(128, 3), (batch, 251, 128), block
    yield "convolution, 33 taps, 64", layers.Conv(64, 33), (batch, 1004, 64), block
    conv = layers.Conv(128, 33, 2)
    yield "convolution, 33 taps, stride 2", conv, (batch, 1004, 64), block
    for taps, channels, length in ((7, 128, 251), (3, 64, 502)):
        name = f"grouped, {taps} taps, {channels}"
        shape = (batch, length, channels)
        for width in (16, 32, 64, 128):
            if width <= channels:
                conv = layers.Conv(channels, taps, grouped=True)
                yield f"{name}, blocks of {width}", conv, shape, width
        yield f"{name}, XLA's own", GroupedByXla(channels, taps), shape, block
    yield "batch norm", layers.BatchNorm(), (batch, 502, 64), block
    yield "residual block, 64", blocks.ResidualBlock(64), (batch, 502, 64), block
    yield "SE block, 128", blocks.SEBlock(), (batch, 251, 128), block
    yield "stem", stem.Stem(16), (batch, 1000, 12), block
    yield "attention stage, 64", attention.AttentionStage(), (batch, 502, 64), block
    yield "attention stage, 128", attention.AttentionStage(), (batch, 251, 128), block


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__)
    parser.add_argument("--batch", type=int, default=96, help="(default: %(default)s)")
    harness.add_dtype_flag(parser)
    args = parser.parse_args(argv)
    if not devices.supports_scan():
        print("error: this needs an accelerator, found only the CPU", file=sys.stderr)
        return 2
    found: dict[str, dict[str, Any]] = {}
    for dtype in args.dtypes:
        print(f"\nmicroseconds, forward and backward, batch {args.batch}, {dtype}")
        for name, module, shape, width in parts(args.batch):
            with mock.patch.object(convolutions, "ACCELERATOR_BLOCK_WIDTH", width):
                seconds = _measure(module, shape, dtype, args.rounds)
            row = {"us": sorted(1e6 * s for s in seconds), "shape": shape}
            found.setdefault(dtype, {})[name] = row
            print(f"{row['us'][len(seconds) // 2]:10,.1f}  {name}", flush=True)
        harness.save(args.out, "parts", {"batch": args.batch, "parts": found})
    return 0


def _measure(
    module: nn.Module, shape: tuple[int, int, int], dtype: str, rounds: int
) -> list[float]:
    """Returns the seconds of one forward and backward pass, by round."""
    mask = jnp.ones(shape[0])
    takes_mask = not isinstance(module, layers.Conv | GroupedByXla)
    rest = (mask,) if takes_mask else ()
    inputs = jax.random.normal(jax.random.key(0), shape).astype(dtype)
    variables = jax.jit(module.init)(jax.random.key(1), inputs, *rest)
    call = jax.jit(functools.partial(_repeat, module, variables, rest))
    return list(_times(lambda: jax.block_until_ready(call(inputs)), rounds))


def _repeat(
    module: nn.Module, variables: Any, rest: tuple[jax.Array, ...], inputs: jax.Array
) -> Any:
    """Runs forward and backward passes REPEATS times and uses all gradients."""
    state = {name: tree for name, tree in variables.items() if name != "params"}

    def loss(params, signal):
        """Returns a scalar that depends on all outputs."""
        tree = {"params": params, **state}
        outputs, _ = module.apply(tree, signal, *rest, mutable=["batch_stats"])
        return jnp.sum(outputs.astype(jnp.float32) ** 2)

    def body(_, carry):
        """Moves the parameters and the input by their gradients."""
        grads = jax.grad(loss, (0, 1))(*carry)
        return jax.tree.map(lambda v, g: (v - STEP * g).astype(v.dtype), carry, grads)

    return jax.lax.fori_loop(0, REPEATS, body, (variables["params"], inputs))


def _times(work: Callable[[], object], rounds: int) -> Iterator[float]:
    work()
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        yield (time.perf_counter() - start) / REPEATS


if __name__ == "__main__":
    sys.exit(main())
