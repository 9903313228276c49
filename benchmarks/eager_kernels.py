"""Counts the operations that PyTorch eager dispatches to train and to score a batch.

On a GPU each operation that computes something launches at least one kernel, so the
count is a lower bound of PyTorch's kernels. Views, which share their input's memory,
are left out, as are allocations. Adam counts as the fused one, a single operation. The
step is run on the CPU; the operations do not depend on the batch size.

Example: python -m benchmarks.eager_kernels
"""

import collections
import sys
from collections.abc import Sequence
from typing import Any

from torch.utils import _python_dispatch as dispatch

from benchmarks import harness, programs, torch_side
from benchmarks import load as loads

BATCH = 2
ALLOCATIONS = frozenset({"empty", "empty_like", "empty_strided", "detach", "new_empty"})


class Counter(dispatch.TorchDispatchMode):
    """Counts the operations that are dispatched while it is entered."""

    def __init__(self) -> None:
        """Starts at zero."""
        super().__init__()
        self.counts: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Counts one operation, and runs it."""
        name = str(func.overloadpacket).rpartition(".")[2]
        if not func.is_view and name not in ALLOCATIONS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def count() -> dict[str, collections.Counter[str]]:
    """Returns the operations of a training and of a scoring step."""
    side = torch_side.TorchSide(loads.Load(BATCH), fused=True)
    side.train()  # creates the state of the optimiser
    found = {}
    for work, step in (("training", side.train), ("scoring", side.score)):
        with Counter() as counter:
            step()
        found[work] = counter.counts
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Prints and stores the counts, and returns the exit status."""
    args = harness.flags(__doc__, rounds=None).parse_args(argv)
    for work, counts in count().items():
        frequent = ", ".join(f"{n} {name}" for name, n in counts.most_common(8))
        print(f"{work}: {counts.total():,} operations ({frequent})")
        entry = {"operations": counts.total(), "by_name": dict(counts.most_common())}
        part = f"PyTorch eager, {work}"
        harness.save(args.out or programs.RESULTS, "programs", entry, part=part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
