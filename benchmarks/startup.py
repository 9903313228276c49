"""Measures the time from the start of a process to the end of its first training step.

Each round starts new processes: mrm_jax with an empty compilation cache, mrm_jax with
the cache of an earlier run, and PyTorch eager. The time includes imports, creating the
network, compilation and one step on noise. mrm_jax imports its whole training command,
and the PyTorch side only PyTorch.

Example: python -m benchmarks.startup --rounds 3
"""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from benchmarks import harness
from benchmarks import load as loads

EAGER, COLD, WARM = "pytorch eager", "mrm_jax, cold", "mrm_jax, warm cache"
OURS_ONCE = """
import sys
from benchmarks import jax_side, load
from mrm_jax import train
from mrm_jax.runtime import cli, compiler
compiler.set_up()
size = load.Load(*map(int, sys.argv[1:]))
sys.exit(cli.run(lambda: jax_side.JaxSide(size).train(), interrupted=""))
"""
PYTORCH_ONCE = """
import sys
from benchmarks import load, torch_side
torch_side.TorchSide(load.Load(*map(int, sys.argv[1:]))).train()
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__)
    harness.add_network_flags(parser, (96,))
    args = parser.parse_args(argv)
    found = {}
    for batch in args.batches:
        size = [batch, args.labels, args.samples]
        with tempfile.TemporaryDirectory() as warm:
            ways = {
                EAGER: functools.partial(_run, PYTORCH_ONCE, size, warm),
                WARM: functools.partial(_run, OURS_ONCE, size, warm),
                COLD: functools.partial(_run_cold, size),
            }
            seconds = harness.alternate(ways, args.rounds)
        shape = harness.describe(loads.Load(*size))
        found[shape] = harness.compare_seconds(seconds, EAGER)
        harness.print_table(f"time to the first step, s: {shape}", found[shape])
    harness.save(args.out, "startup", {"rounds": args.rounds, "seconds": found})
    return 0


def _run_cold(size: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as cache:
        _run(OURS_ONCE, size, cache)


def _run(code: str, size: Sequence[int], cache: str) -> None:
    command = [sys.executable, "-c", code, *map(str, size)]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    sys.exit(main())
