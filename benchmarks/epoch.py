"""Compares whole epochs of mrm_jax and PyTorch: input, training and validation.

Both train on the same shards and batches and score the validation fold. Both use the
metrics of mrm_jax. PyTorch has an advantage: its signals are standardised in memory
before the measurement starts, whereas mrm_jax gathers and standardises int16 signals
during training.

Example: python -m benchmarks.epoch --config experiments/demo.py --rounds 3
"""

import sys
from collections.abc import Callable, Sequence

import jax
import torch
from absl import flags as absl_flags

from benchmarks import harness, parity_runs
from mrm_jax.metrics import classification
from mrm_jax.training import config, input_pipeline, run_spec, train_state

EAGER, OURS = "pytorch eager", "mrm_jax"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__)
    harness.add_config_flag(parser)
    args, overrides = parser.parse_known_args(argv)
    try:
        spec = run_spec.build_run_spec(config.load(args.config, overrides))
    except (ValueError, OSError, absl_flags.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ways = {
        EAGER: _epoch(parity_runs.TorchSide(spec, device), spec),
        OURS: _epoch(parity_runs.JaxSide(spec, _state(spec)), spec),
    }
    records = spec.described_labels.records["train"]
    found = harness.compare(harness.alternate(ways, args.rounds), records, EAGER)
    title = f"{spec.name}: {records} training records, batch {spec.batch_size}"
    harness.print_table(f"whole epoch, training records/s: {title}", found)
    entry = {"rounds": args.rounds, "records_per_second": {title: found}}
    harness.save(args.out, "epoch", entry)
    return 0


def _epoch(side: parity_runs.Side, spec: run_spec.RunSpec) -> Callable[[], None]:
    """Returns a function that trains one epoch and evaluates it."""
    records = spec.described_labels.records["train"]
    rows = input_pipeline.shuffled_batches(records, spec.batch_size, spec.seed, epoch=1)

    def work() -> None:
        side.train_epoch(rows, lambda calls, total: calls)
        scores = side.score("val")
        for values in scores.heads.values():
            classification.evaluate(values, scores.labels)

    return work


def _state(spec: run_spec.RunSpec) -> train_state.TrainState:
    return train_state.create(jax.random.PRNGKey(spec.seed), spec.model)


if __name__ == "__main__":
    sys.exit(main())
