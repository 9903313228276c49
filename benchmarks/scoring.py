"""Scored records per second, mrm_jax beside PyTorch.

Both score records that lie on the device; what a round counts is gathering,
standardising, the forward pass and bringing the scores to the host. PyTorch is the
project's own reference, eager and, with --compiled, by torch.compile.

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
