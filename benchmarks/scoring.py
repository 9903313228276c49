"""Compares the scoring rate of mrm_jax and PyTorch, in records per second.

Both score records that are on the device. A round includes gathering, standardisation,
the forward pass and copying the scores to the host. The PyTorch side is the project's
reference implementation, eager and, with --compiled, also with torch.compile.

Example: python -m benchmarks.scoring --batches 1 96
"""

import sys
from collections.abc import Sequence

from benchmarks import network_rates


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    return network_rates.main(__doc__, "score", argv)


if __name__ == "__main__":
    sys.exit(main())
