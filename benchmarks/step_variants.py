"""Measures training rates with other XLA flags and other widths of dense blocks.

Every variant is compiled and timed in a separate process, because XLA reads its flags
only once. The first variant, to which the others are compared, is what a
training runs.

Example: python -m benchmarks.step_variants --dtypes float32
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import harness
from benchmarks import load as loads

GRAPHS = "--xla_gpu_enable_command_buffer"
EPILOGUES = "--xla_gpu_experimental_enable_conv_fusion=true"
# name -> (XLA flags, width of dense blocks, steps per call)
VARIANTS = {
    "as it is": ("", 128, 40),
    "one step a call": ("", 128, 1),
    "blocks of 64": ("", 64, 40),
    "blocks of 32": ("", 32, 40),
    "no CUDA graphs": (f"{GRAPHS}=", 128, 40),
    "loops in CUDA graphs": (f"{GRAPHS}=+WHILE,+CONDITIONAL", 128, 40),
    "additions and masks within convolutions": (EPILOGUES, 128, 40),
    "autotuning 0": ("--xla_gpu_autotune_level=0", 128, 40),
}
CHILD = """
import json, sys, time
from benchmarks import jax_side, load
from mrm_jax.runtime import devices
from mrm_jax.models import convolutions
size, dtype, width, steps, rounds = json.loads(sys.argv[1])
convolutions.ACCELERATOR_BLOCK_WIDTH, devices.ACCELERATOR_STEPS_PER_CALL = width, steps
start = time.perf_counter()
side = jax_side.JaxSide(load.Load(**size), compute_dtype=dtype)
side.train()
compiled = time.perf_counter() - start
seconds = []
for _ in range(rounds):
    start = time.perf_counter()
    side.train()
    seconds.append(time.perf_counter() - start)
print(json.dumps({"compile_s": compiled, "seconds": seconds}))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__)
    harness.add_network_flags(parser, (96,))
    harness.add_dtype_flag(parser)
    help_ = "variants to measure (default: all)"
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), help=help_)
    help_ = "number of batches in a round (default: %(default)s)"
    parser.add_argument("--steps", type=int, default=40, help=help_)
    args = parser.parse_args(argv)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for batch, dtype in itertools.product(args.batches, args.dtypes):
        load = loads.Load(batch, args.labels, args.samples, args.steps)
        rows = found.setdefault(harness.describe(load, dtype), {})
        for name in args.variants or VARIANTS:
            flags, width, steps = VARIANTS[name]
            arguments = (vars(load), dtype, width, steps, args.rounds)
            result = subprocess.run(
                [sys.executable, "-c", CHILD, json.dumps(arguments)],
                stdout=subprocess.PIPE,
                env=os.environ | {"XLA_FLAGS": flags},
            )
            if result.returncode:
                print(f"{name}: failed with status {result.returncode}", flush=True)
                continue
            measured = json.loads(result.stdout.splitlines()[-1])
            rates = [load.records / seconds for seconds in measured["seconds"]]
            rows[name] = {
                "records_per_second": statistics.median(rates),
                "lowest": min(rates),
                "highest": max(rates),
                "first_round_s": measured["compile_s"],
            }
            print(f"{dtype} {name}: {rows[name]}", flush=True)
        harness.save(args.out, "step_variants", {"rounds": args.rounds, "rates": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
