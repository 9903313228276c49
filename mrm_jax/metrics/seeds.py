"""Mean and standard deviation of metrics over runs that differ in seed or folds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mrm_jax.metrics import names


def summarise(
    runs: Sequence[Mapping[str, Any]],
    observed: Sequence[Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any]:
    """Returns the mean and standard deviation of each metric over several runs.

    Args:
        runs: [run], what identifies the run, such as its folder and its seed.
        observed: [run], metrics by head, such as from `paired.observe`.

    Returns:
        runs: as given.
        heads: by head and metric `mean`, `sd` (with n - 1) and `values` [run]; mean and
            sd are None where a run has no value, as for the CPSC2018 score if the first
            label of a record is unknown.

    Raises:
        ValueError: if there are fewer than two runs.
    """
    if len(runs) < 2:
        raise ValueError(f"expected runs of two seeds or more, found {len(runs)}")
    return {
        "runs": [dict(run) for run in runs],
        "heads": {
            head: {
                metric: _summarise([of_run[head].get(metric) for of_run in observed])
                for metric in names.compared(set().union(*(o[head] for o in observed)))
            }
            for head in observed[0]
        },
    }


def _summarise(values: Sequence[Any]) -> dict[str, Any]:
    # NaN differs from itself, and JSON has none.
    known = [None if v is None or v != v else float(v) for v in values]
    found = {"mean": None, "sd": None} if None in known else mean_sd(values)
    return {**found, "values": known}


def mean_sd(values: Sequence[float]) -> dict[str, float]:
    """Returns the `mean` and the sample standard deviation `sd` of two values or more.

    The standard deviation divides by n - 1.
    """
    return {
        "mean": float(statistics.fmean(values)),
        "sd": float(statistics.stdev(values)),
    }


def text(found: Mapping[str, Any], digits: int = 3) -> str:
    """Returns `mean_sd` as text, for example "0.900 ± 0.100"."""
    return f"{found['mean']:.{digits}f} ± {found['sd']:.{digits}f}"
