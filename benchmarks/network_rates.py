"""Shared code of train_step and scoring: both sides take turns on equal records."""

import itertools
from collections.abc import Sequence

from benchmarks import harness, jax_side, torch_side
from benchmarks import load as loads

EAGER, COMPILED, OURS = "pytorch eager", "pytorch compiled", "mrm_jax"


def main(doc: str | None, work: str, argv: Sequence[str] | None) -> int:
    """Measures one kind of work and returns the exit status.

    Args:
        doc: docstring of the command.
        work: method of both sides that is measured, "train" or "score".
        argv: flags, or None for those of the command line.
    """
    parser = harness.flags(doc)
    harness.add_network_flags(parser, (96,))
    harness.add_dtype_flag(parser)
    parser.add_argument(
        "--compiled", action="store_true", help="measure torch.compile as well"
    )
    help_ = "batches in a round at the first batch size; others use as many records"
    parser.add_argument(
        "--steps", type=int, default=2, help=f"{help_} (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    found = {}
    for batch, dtype in itertools.product(args.batches, args.dtypes):
        steps = max(2, args.steps * args.batches[0] // batch)
        load = loads.Load(batch, args.labels, args.samples, steps)
        half = dtype == "bfloat16"
        ways = {
            EAGER: getattr(torch_side.TorchSide(load, bfloat16=half), work),
            OURS: getattr(jax_side.JaxSide(load, compute_dtype=dtype), work),
        }
        if args.compiled:
            compiled = torch_side.TorchSide(load, compiled=True, bfloat16=half)
            ways[COMPILED] = getattr(compiled, work)
        seconds = harness.alternate(ways, args.rounds, settle=True)
        size = harness.describe(load, dtype)
        found[size] = harness.compare(seconds, load.records, EAGER)
        harness.print_table(f"{work}, records/s: {size}", found[size])
    entry = {"rounds": args.rounds, "steps": args.steps, "records_per_second": found}
    harness.save(args.out, f"{work}_step", entry)
    return 0
