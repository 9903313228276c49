"""What train_step and scoring share: both sides on equal records, in turns."""

from collections.abc import Sequence

from benchmarks import harness, jax_side, torch_side
from benchmarks import load as loads

EAGER, COMPILED, OURS = "pytorch eager", "pytorch compiled", "mrm_jax"


def main(doc: str | None, work: str, argv: Sequence[str] | None) -> int:
    """Measures one kind of work; returns the exit status.

    Args:
        doc: of the command.
        work: the method of both sides that is measured, "train" or "score".
        argv: the flags; default: the command line's.
    """
    parser = harness.flags(doc)
    harness.add_network_flags(parser, (96,))
    parser.add_argument(
        "--compiled", action="store_true", help="measure torch.compile as well"
    )
    parser.add_argument(
        "--steps", type=int, default=2, help="batches of a round (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    found = {}
    for batch in args.batches:
        load = loads.Load(batch, args.labels, args.samples, args.steps)
        ways = {
            EAGER: getattr(torch_side.TorchSide(load), work),
            OURS: getattr(jax_side.JaxSide(load), work),
        }
        if args.compiled:
            ways[COMPILED] = getattr(torch_side.TorchSide(load, compiled=True), work)
        seconds = harness.alternate(ways, args.rounds, settle=True)
        size = f"batch {batch}, {args.labels} labels, {args.samples} samples"
        found[size] = harness.compare(seconds, load.records, EAGER)
        harness.print_table(f"{work}, records/s: {size}", found[size])
    entry = {"rounds": args.rounds, "steps": args.steps, "records_per_second": found}
    harness.save(args.out, f"{work}_step", entry)
    return 0
