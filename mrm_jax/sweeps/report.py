"""The report of a sweep: its trials, the best one, and the variance between seeds.

sweep.json    the search, the best trial, mean and standard deviation over seeds
sweep.csv     one row for each trial, best first
*.png         optimization history, parameter importances, parallel coordinates
"""

import json
import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import rich.console
from optuna.distributions import BaseDistribution, FloatDistribution

from mrm_jax.metrics import seeds as seeds_lib
from mrm_jax.reports import tables
from mrm_jax.runtime import atomic, text
from mrm_jax.sweeps import search_space
from mrm_jax.sweeps.search_space import Space
from mrm_jax.sweeps.trials import Row

JSON_FILE = "sweep.json"
CSV_FILE = "sweep.csv"
SHOWN = 10  # trials printed in the terminal
DOTS_PER_INCH = 150
SIZE_INCHES = (9, 5.5)


def write(
    workdir: Path,
    facts: Mapping[str, Any],
    rows: Sequence[Row],
    seeds: Mapping[int, float],
) -> dict[str, Any]:
    """Writes sweep.json and sweep.csv, and returns the content of sweep.json.

    Args:
        workdir: folder of the sweep.
        facts: description of the search, its data and its options; JSON.
        rows: trials of the study.
        seeds: seed -> value of the best trial when trained again with this seed.
    """
    ranked = sorted(rows, key=_rank)
    best = ranked[0] if ranked and ranked[0].state == "complete" else None
    report = {
        **facts,
        "states": {
            state: sum(row.state == state for row in rows)
            for state in sorted({row.state for row in rows})
        },
        "best": None if best is None else _described(best),
        "seeds": mean_sd(seeds),
    }
    workdir.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(workdir / CSV_FILE) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            described = [_described(row) for row in ranked]
            columns = {name: None for row in described for name in row}
            text.write_table(file, list(columns), described)
    with atomic.replacing(workdir / JSON_FILE) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return report


def mean_sd(seeds: Mapping[int, float]) -> dict[str, Any] | None:
    """Returns mean and standard deviation over seeds, or None for fewer than two."""
    if len(seeds) < 2:
        return None
    values = list(seeds.values())
    return {
        "values": {str(seed): value for seed, value in seeds.items()},
        "mean": statistics.mean(values),
        "sd": statistics.stdev(values),
    }


def draw(
    workdir: Path, rows: Sequence[Row], space: Space, report: Mapping[str, Any]
) -> list[Path]:
    """Draws the plots for which enough trials completed.

    Args:
        workdir: folder of the sweep.
        rows: trials of the study.
        space: search space of the sweep.
        report: result of `write`.

    Returns:
        The files: the optimization history with the standard deviation over seeds,
        parameter importances, and parallel coordinates.
    """
    import matplotlib

    matplotlib.use("agg")
    from optuna.visualization import matplotlib as pictures

    ended = [row for row in rows if row.state == "complete"]
    if len({row.value for row in ended}) < 2:
        return []
    varying = {
        name: distribution
        for name, distribution in space.distributions.items()
        if len({row.values[name] for row in ended}) > 1
    }
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        optuna.trial.create_trial(
            params={
                _short_name(name): _within(d, row.values[name])
                for name, d in varying.items()
            },
            distributions={_short_name(name): d for name, d in varying.items()},
            value=row.value,
        )
        for row in ended
    )
    makers: dict[str, Callable[..., Any]] = {
        "search.png": pictures.plot_optimization_history
    }
    if varying:
        makers["parallel.png"] = pictures.plot_parallel_coordinate
        makers["importance.png"] = pictures.plot_param_importances
    with matplotlib.rc_context():  # Optuna sets a style for all figures from then on
        for name, make in makers.items():
            _draw_one(workdir / name, make, study, report)
    return [workdir / name for name in makers]


def _within(distribution: BaseDistribution, value: Any) -> Any:
    """Returns a value of a distribution as Optuna accepts it.

    Earlier versions could exceed the last value of a grid by a rounding error.
    """
    if isinstance(distribution, FloatDistribution):
        return min(value, distribution.high)
    return value


def _draw_one(
    path: Path,
    make: Callable[..., Any],
    study: optuna.Study,
    report: Mapping[str, Any],
) -> None:
    from matplotlib import pyplot

    with warnings.catch_warnings(), atomic.replacing(path) as temporary:
        # Optuna's plots are marked experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        axes = make(study, target_name=report["metric"])
        figure = axes.figure
        figure.set_size_inches(*SIZE_INCHES)
        axes.set_title("", loc="left")
        axes.set_title(f"{report['study']}: {len(study.trials)} complete trials")
        if path.name == "parallel.png":
            _make_readable(axes, list(study.trials[0].params))
        if path.name == "search.png":
            axes.set_xlabel("complete trials, in the order of their start")
            if report["seeds"] is not None:
                _mark_seeds(axes, report["seeds"])
        figure.savefig(temporary, dpi=DOTS_PER_INCH, bbox_inches="tight")
        pyplot.close(figure)


def _make_readable(axes: Any, names: Sequence[str]) -> None:
    """Restores the names that Optuna truncates, and draws no line in near-white."""
    labels = []
    for tick in axes.get_xticklabels():
        short = tick.get_text().removesuffix("...")
        labels.append(next((n for n in names if n.startswith(short)), short))
    axes.set_xticks(axes.get_xticks(), labels, rotation=20)
    for lines in axes.collections:
        lines.set_cmap("viridis_r")


def _mark_seeds(axes: Any, seeds: Mapping[str, Any]) -> None:
    mean, sd = seeds["mean"], seeds["sd"]
    count = len(seeds["values"])
    label = f"best trial, {count} other seeds:\n{seeds_lib.text(seeds, 4)}"
    axes.axhspan(mean - sd, mean + sd, color="#009E73", alpha=0.25, label=label)
    axes.legend(loc="best")


def print_table(
    report: Mapping[str, Any], rows: Sequence[Row], console: rich.console.Console
) -> None:
    """Prints the best trials, and how much of their lead the seed alone explains."""
    table = tables.new(f"{report['metric']}, the best of {len(rows)} trials")
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    tables.add_numbers(table, "trial", "value", "epochs")
    table.add_column("state", no_wrap=True)
    tables.add_numbers(table, *map(_short_name, names))
    for row in sorted(rows, key=_rank)[:SHOWN]:
        value = "-" if row.value is None else f"{row.value:.4f}"
        cells = [_short(row.values.get(name)) for name in names]
        table.add_row(str(row.number), value, str(row.epochs), row.state, *cells)
    tables.show(table, console)
    for line in seed_variance(report, rows):
        tables.say(line, console)


def seed_variance(report: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Describes how much the metric varies with the seed alone."""
    best, seeds = report["best"], report["seeds"]
    if best is None:
        return ["No trial is complete."]
    if seeds is None:
        return [
            "The variance between seeds was not measured. Pass --seeds 2 or more to "
            "train the best trial again with other seeds."
        ]
    sd = seeds["sd"]
    near = sum(
        row.number != best["setting"]
        and row.state == "complete"
        and (row.value or 0) > best["value"] - 2 * sd
        for row in rows
    )
    others = "1 other trial is" if near == 1 else f"{near} other trials are"
    return [
        f"Trial {best['setting']} reached {best['value']:.4f}, the best of all trials. "
        f"With {len(seeds['values'])} other seeds it reaches "
        f"{seeds_lib.text(seeds, 4)} (mean, standard deviation).",
        f"{others} within two standard deviations of the best value, a "
        "difference that the seed alone can explain.",
    ]


def _rank(row: Row) -> tuple[bool, float]:
    """Returns a sorting key: complete trials first, the best of them first."""
    value = -math.inf if row.value is None else row.value
    return (row.state != "complete", -value)


def _described(row: Row) -> dict[str, Any]:
    # Files of earlier versions have these names: do not rename them.
    return {
        "setting": row.number,
        "state": row.state,
        "value": row.value,
        "epochs": row.epochs,
        "seconds": row.seconds,
        "worker": row.worker,
        **row.values,
    }


def _short_name(name: str) -> str:
    return name.removeprefix("hparams.")


def _short(value: Any) -> str:
    return search_space.written({"": value}).strip()
