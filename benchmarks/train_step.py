"""Compares the training rate of mrm_jax and PyTorch, in records per second.

Both train the same network with dropout and Adam, on records that are on the device. A
round includes gathering, standardisation, forward pass, backward pass and update. The
PyTorch side is the project's reference implementation, eager and, with --compiled, also
with torch.compile.

Example: python -m benchmarks.train_step --batches 32 96
"""

import sys
from collections.abc import Sequence

from benchmarks import network_rates


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    return network_rates.main(__doc__, "train", argv)


if __name__ == "__main__":
    sys.exit(main())
