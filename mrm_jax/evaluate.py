"""Scores the test fold again with a run's best checkpoint and rewrites its report."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mrm_jax import parallel, trainer


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and evaluates; returns the exit status."""
    flags = argparse.ArgumentParser(prog="mrm_jax.evaluate", description=__doc__)
    flags.add_argument(
        "--workdir", type=Path, required=True, help="folder of a trained run"
    )
    flags.add_argument(
        "--shards",
        metavar="FOLDER",
        help="where the run's shards are now (default: where they were at training)",
    )
    args = flags.parse_args(argv)
    try:
        parallel.use_compilation_cache()
        trainer.evaluate_run(args.workdir, args.shards)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command starts again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
