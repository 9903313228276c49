"""Tables of populations and sweeps in docs/sweeps.md."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import markdown

Results = Mapping[str, Mapping[str, Any]]  # file -> benchmark -> entry


def ways(results: Results) -> str:
    """Returns the rates of populations by size and batching, relative to one run."""
    columns = (
        "device, batch, slots, batching, records/s, times a run alone, memory (MiB)"
    )
    rows = []
    for device, entry in _entries(results, "population"):
        points = entry["points"]
        alone = next(p for p in points if p["places"] == min(_sizes(points)))
        rows += [
            [
                device,
                str(entry["load"]["batch"]),
                str(point["places"]),
                point["batching"],
                _rates(point),
                _ratio(point, alone),
                f"{point['call_mib']:,}",
            ]
            for point in sorted(points, key=lambda p: (p["batching"], p["places"]))
        ]
    return markdown.table(columns.split(", "), rows)


def devices(results: Results) -> str:
    """Returns the rates of one population on increasing numbers of devices."""
    columns = "device, places, devices, records/s, times one device, memory (MiB)"
    rows = [
        [
            device,
            str(point["places"]),
            str(point["devices"]),
            _rates(point),
            _ratio(point, entry["spread"][0]),
            f"{point['call_mib']:,}",
        ]
        for device, entry in _entries(results, "population")
        for point in entry["spread"]
    ]
    return markdown.table(columns.split(", "), rows)


def processes(results: Results) -> str:
    """Returns trials per hour of a population and of sequential processes."""
    columns = (
        "device, settings, population (trials/h), "
        "one process after another (trials/h), ratio"
    )
    rows = []
    for device, entry in _entries(results, "sweep_rates"):
        for point in entry["points"]:
            pairs = list(zip(point["together"], point["alone"], strict=True))
            rates = [
                [3600 * point["settings"] / together for together, _ in pairs],
                [3600 / alone for _, alone in pairs],
            ]
            ratios = [point["settings"] * alone / both for both, alone in pairs]
            cells = [_median_range(values, "{:,.0f}") for values in rates]
            rows.append(
                [
                    device,
                    str(point["settings"]),
                    *cells,
                    _median_range(ratios, "{:.2f}"),
                ]
            )
    return markdown.table(columns.split(", "), rows)


def search(results: Results) -> str:
    """Returns the time that searches took to reach the sequential one's best value."""
    columns = "device, trained at once, settings, best value, whole search, to the goal"
    rows = [
        [
            device,
            str(point["population"]),
            str(point["trials"]),
            f"{point['best']:.4f}",
            markdown.duration(point["seconds"]),
            "not reached"
            if point["to_goal"] is None
            else markdown.duration(point["to_goal"]),
        ]
        for device, entry in _entries(results, "sweep_search")
        for point in entry["points"]
    ]
    return markdown.table(columns.split(", "), rows)


TABLES = {
    "population": ways,
    "population over devices": devices,
    "sweep rates": processes,
    "sweep search": search,
}


def _entries(
    results: Results, benchmark: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for content in results.values():
        if benchmark in content:
            entry = content[benchmark]
            yield markdown.device(entry["machine"]), entry


def _sizes(points: Sequence[Mapping[str, Any]]) -> list[int]:
    return [point["places"] for point in points]


def _rates(point: Mapping[str, Any]) -> str:
    return _median_range([point["records"] / s for s in point["seconds"]], "{:,.1f}")


def _ratio(point: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """Formats the ratio of rates, computed round by round."""
    ratios = [
        (point["records"] / seconds) / (base["records"] / base_seconds)
        for seconds, base_seconds in zip(point["seconds"], base["seconds"], strict=True)
    ]
    return _median_range(ratios, "{:.2f}")


def _median_range(values: Sequence[float], form: str) -> str:
    """Formats the median, with the range in brackets."""
    median, low, high = statistics.median(values), min(values), max(values)
    if len(values) == 1:
        return form.format(median)
    return f"{form.format(median)} ({form.format(low)}–{form.format(high)})"
