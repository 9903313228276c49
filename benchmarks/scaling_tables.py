"""Tables of docs/scaling.md."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import markdown, scaling_points, scaling_records

Results = Mapping[str, Mapping[str, Any]]  # file -> benchmark -> entry
DATA_SETS = {  # name -> records
    "PTB-XL": 21_799,
    "MIMIC-IV-ECG": 800_035,
    "ten million": 10_000_000,
}
TRAIN_SHARE = 0.8  # folds 1 to 8 of 10


def cost(results: Results) -> str:
    """Returns the measurements of the network, one row per point."""
    columns = (
        "device, varied, batch, samples, training (records/s), scoring (records/s), "
        "temporary memory of a training step (MiB), a record of it (MiB), "
        "of a scoring step (MiB), arguments (MiB), state among them (MiB)"
    )
    rows = [
        [device, *_point(name, point)]
        for device, entry in _entries(results)
        for name in scaling_points.VARIED
        for point in entry["points"].get(name, ())
    ]
    return markdown.table(columns.split(", "), rows)


def feeding(results: Results) -> str:
    """Returns the rates of the input pipeline."""
    columns = ("device", "records", "way", "records/s", "range", "MB/s")
    rows = [
        [device, f"{point['records']:,}", way, *_rate(rate, point["record_bytes"])]
        for device, entry in _entries(results)
        for point in entry["records"]
        for way, rate in point["input"].items()
    ]
    return markdown.table(columns, rows)


def epochs(results: Results) -> str:
    """Returns the input rate that training needs, and the durations of epochs."""
    sets = (f"epoch of {name}" for name in DATA_SETS)
    columns = ("device", "trains, records/s", "needs, MB/s", "is delivered, MB/s")
    rows = [
        [device, *cells]
        for device, entry in _entries(results)
        for cells in _epoch_cells(entry)
    ]
    return markdown.table([*columns, *sets], rows)


def judging(results: Results) -> str:
    """Returns the time and memory of the metrics of one head."""
    columns = "device, records, labels, s, range, peak memory (MiB), a record (bytes)"
    rows = [
        [device, *_metrics(point)]
        for device, entry in _entries(results)
        for point in entry["records"]
    ]
    return markdown.table(columns.split(", "), rows)


def preparation(results: Results) -> str:
    """Returns the durations of preparing whole data sets at the measured rates."""
    rows = [
        [f"{name}, {entry['records']:,} records", way, *_durations(rate["median"])]
        for content in results.values()
        for name, entry in content.get("data_prep", {}).items()
        for way, rate in entry["records_per_second"].items()
        if way.startswith("build")
    ]
    return markdown.table(["measured on", "way", "records/s", *DATA_SETS], rows)


OF_THE_BENCHMARK = ("cost", "feeding", "judging")
TABLES = {
    "cost": cost,
    "feeding": feeding,
    "epochs": epochs,
    "judging": judging,
    "preparation": preparation,
}


def _entries(results: Results) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the device and the entry of each measured machine."""
    for content in results.values():
        if "scaling" in content:
            entry = content["scaling"]
            yield markdown.device(entry["machine"]), entry


def _point(name: str, point: Mapping[str, Any]) -> list[str]:
    memory = point["memory_mib"]
    return [
        f"{name} {point[name]}",
        f"{point['batch']}",
        f"{point['samples']}",
        *(_with_range(point[work]) for work in ("train", "score")),
        f"{memory['train']:,.0f}",
        f"{memory['train'] * point['devices'] / point['batch']:,.1f}",
        f"{memory['score']:,.0f}",
        f"{memory['arguments']:,.1f}",
        f"{memory['state']:,.1f}",
    ]


def _with_range(rate: Mapping[str, float]) -> str:
    return f"{rate['median']:,.1f} ({rate['lowest']:,.1f}–{rate['highest']:,.1f})"


def _rate(rate: Mapping[str, float], record_bytes: int) -> list[str]:
    return [
        f"{rate['median']:,.0f}",
        f"{rate['lowest']:,.0f}–{rate['highest']:,.0f}",
        f"{rate['median'] * record_bytes / 1e6:,.0f}",
    ]


def _epoch_cells(entry: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yields the cells of a machine if both its training and input were measured."""
    if not entry["points"].get("batch") or not entry["records"]:
        return
    rates = [point["train"]["median"] for point in entry["points"]["batch"]]
    fastest, input_ = max(rates), entry["records"][-1]
    delivered = input_["input"][scaling_records.STREAMED]["median"]
    yield [
        f"{fastest:,.0f}",
        f"{fastest * input_['record_bytes'] / 1e6:,.1f}",
        f"{delivered * input_['record_bytes'] / 1e6:,.0f}",
        *(markdown.duration(TRAIN_SHARE * n / fastest) for n in DATA_SETS.values()),
    ]


def _metrics(point: Mapping[str, Any]) -> list[str]:
    seconds, peak = point["metrics"]["seconds"], point["metrics"]["peak_bytes"]
    return [
        f"{point['records']:,}",
        f"{point['labels']}",
        f"{seconds['median']:.2f}",
        f"{seconds['lowest']:.2f}–{seconds['highest']:.2f}",
        f"{peak / 2**20:,.0f}",
        f"{peak / point['records']:,.0f}",
    ]


def _durations(rate: float) -> list[str]:
    return [
        f"{rate:,.0f}",
        *(markdown.duration(n / rate) for n in DATA_SETS.values()),
    ]
