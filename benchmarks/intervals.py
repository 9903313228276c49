"""Times 1000 bootstrap resamples of mrm_jax and of a plain loop with scikit-learn.

mrm_jax draws the resamples and computes the intervals of every metric, overall and per
label. Its report always takes 1000 resamples for each of three heads, and also computes
calibration and the metrics at each label's threshold. The loop computes only the
ROC-AUC and average precision of each label, on the same resamples. Because it is slow,
it does fewer of them (--loop_resamples), and its time is scaled to 1000.

Example: python -m benchmarks.intervals --records 2203 --labels 71
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn.metrics

from benchmarks import harness
from mrm_jax.metrics import bootstrap, classification, summary, thresholds
from mrm_jax.metrics.scores import SplitScores

LOOP, OURS, REPORT = "scikit-learn loop", "mrm_jax", "mrm_jax report"
SHARE_OF_ONES = 0.04  # as in PTB-XL with all labels


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__)
    for name, default, help_ in (
        ("records", 2203, "number of records in the split"),
        ("labels", 71, "number of labels"),
        ("resamples", 1000, "resamples of mrm_jax in a round, without the report"),
        ("loop_resamples", 20, "resamples of the loop in a round"),
    ):
        help_ += " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=int, default=default, help=help_)
    args = parser.parse_args(argv)
    size = f"{args.records} records, {args.labels} labels"
    print(
        f"{size}: {args.resamples} resamples by mrm_jax, {args.loop_resamples} by the "
        f"loop, {args.rounds} rounds",
        flush=True,
    )
    scores, labels = _split(args.records, args.labels)
    resamples = {
        LOOP: args.loop_resamples,
        OURS: args.resamples,
        REPORT: bootstrap.RESAMPLES,
    }
    ways = {
        LOOP: lambda: loop(scores, labels, args.loop_resamples),
        OURS: lambda: ours(scores, labels, args.resamples),
        REPORT: lambda: report(scores, labels),
    }
    seconds = {
        name: [1000 / resamples[name] * value for value in values]
        for name, values in harness.alternate(ways, args.rounds).items()
    }
    found = harness.compare_seconds(seconds, LOOP)
    harness.print_table(f"seconds per 1000 resamples: {size}", found)
    entry = {"rounds": args.rounds, "resamples": resamples}
    harness.save(args.out, "intervals", entry | {"seconds": {size: found}})
    return 0


def ours(
    scores: np.ndarray, labels: np.ndarray, resamples: int
) -> dict[str, np.ndarray]:
    """Returns the intervals of all metrics, by name."""
    counts = bootstrap.draw(labels, resamples, np.random.default_rng(0))
    values = bootstrap.evaluate(scores, labels, counts)
    return {name: bootstrap.percentile(value) for name, value in values.items()}


def report(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Returns all numbers of a report on three heads, with their intervals."""
    names = [str(i) for i in range(labels.shape[1])]
    records = np.arange(len(labels)).astype(np.str_)
    split = SplitScores.of_two(records, labels, scores, scores**2)
    of_val = thresholds.Thresholds(0.5, (0.5,) * len(names), temperature=2.0)
    chosen = dict.fromkeys(split.heads, of_val)
    return summary.summarise(summary.Evaluated(split, chosen), names, names)


def loop(
    scores: np.ndarray, labels: np.ndarray, resamples: int
) -> dict[str, np.ndarray]:
    """Returns the intervals of each label's AUC and average precision."""
    rng = np.random.default_rng(0)
    auc: list[np.ndarray] = []
    precision: list[np.ndarray] = []
    while len(auc) < resamples:
        records = rng.integers(len(labels), size=len(labels))
        drawn = labels[records]
        if not classification.has_both_classes(drawn).all():
            continue
        found = scores[records]
        auc.append(sklearn.metrics.roc_auc_score(drawn, found, average=None))
        precision.append(
            sklearn.metrics.average_precision_score(drawn, found, average=None)
        )
    return {
        "label_auc": bootstrap.percentile(np.array(auc)),
        "label_average_precision": bootstrap.percentile(np.array(precision)),
    }


def _split(num_records: int, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random scores and labels; each label has both classes."""
    rng = np.random.default_rng(0)
    labels = (rng.random((num_records, num_labels)) < SHARE_OF_ONES).astype(np.uint8)
    labels[0], labels[1] = 0, 1
    return rng.random(labels.shape, np.float32), labels


if __name__ == "__main__":
    sys.exit(main())
