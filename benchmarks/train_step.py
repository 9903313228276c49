"""Training steps per second, mrm_jax beside PyTorch.

Both train the same network from records that lie on the device, with dropout and Adam;
what a round counts is gathering, standardising, forward, backward and update. PyTorch
is the project's own reference, eager and, with --compiled, by torch.compile.

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
