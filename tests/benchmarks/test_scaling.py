"""Tests of the scaling benchmark at tiny sizes; no test depends on timings."""

import json

import numpy as np
import pytest

from benchmarks import load as loads
from benchmarks import (
    markdown,
    scaling,
    scaling_points,
    scaling_records,
    scaling_tables,
)
from mrm_jax.data import shards
from mrm_jax.models.mrm_net import network
from tests.helpers import tiny_network

pytestmark = pytest.mark.slow

TINY = loads.Load(batch=4, labels=3, samples=50)
RATE = {"median": 10.0, "lowest": 8.0, "highest": 12.0}
MEMORY = {"train": 96.0, "score": 8.0, "arguments": 22.8, "state": 20.5}
POINT = {"batch": 32, "samples": 1000, "labels": 71, "devices": 2}
ENTRY = {
    "machine": {"device": "a GPU"},
    "points": {
        "batch": [{**POINT, "train": RATE, "score": RATE, "memory_mib": MEMORY}]
    },
    "records": [
        {
            "records": 2000,
            "labels": 71,
            "record_bytes": 24_000,
            "input": {"streamed": {"median": 1e4, "lowest": 9e3, "highest": 2e4}},
            "metrics": {"seconds": RATE, "peak_bytes": 2**20},
        }
    ],
}
RESULTS = {"gpu": {"scaling": ENTRY}, "other": {"train_step": {}}}


def rows(name: str, results: dict) -> list[str]:
    head, rule, *lines = scaling_tables.TABLES[name](results).splitlines()
    for line in (rule, *lines):
        assert line.count("|") == head.count("|")
    return lines


def test_one_variable_changes_at_a_time():
    args = scaling._parse(["--vary", "batch", "samples", "devices"])
    base = scaling_points.Size(batch=96, samples=1000, labels=71, devices=1)
    assert args.base == [96, 1000, 71]
    sizes = scaling._sizes(args, base)
    assert list(sizes) == ["batch", "samples", "devices"]
    assert {(s.samples, s.labels, s.devices) for s in sizes["batch"]} == {(1000, 71, 1)}
    assert {(s.batch, s.labels, s.devices) for s in sizes["samples"]} == {(16, 71, 1)}
    assert [s.devices for s in sizes["devices"]] == [1, 2, 4]
    assert base in sizes["batch"] and base in sizes["devices"]


def test_the_network_is_measured_per_device(monkeypatch):
    monkeypatch.setattr(network, "MRMNet", tiny_network.TinyNetwork)
    size = {"batch": 8, "samples": 40, "labels": 2, "devices": 4}
    # So wide that the parameters are more than the records.
    (found,) = scaling_points.measure([size], round_records=4, rounds=1, width=4096)
    assert {name: found[name] for name in size} == size
    for work in ("train", "score"):
        assert 0 < found[work]["lowest"] <= found[work]["highest"]
    memory = found["memory_mib"]
    assert memory["train"] > memory["score"] > 0
    # Parameters, running averages and two moments: a copy a device, not four.
    assert 1 < memory["state"] < memory["arguments"] < 2 * memory["state"]


def test_a_wrong_device_count_is_not_measured():
    sizes = [{"batch": 8, "samples": 200, "labels": 2, "devices": 3}]
    assert scaling_points.measure(sizes, round_records=8, rounds=1) == []


def test_a_process_gets_the_requested_devices(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--a=1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = scaling.environment(2)
    assert found["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert found["XLA_FLAGS"].split() == [
        "--a=1",
        "--xla_force_host_platform_device_count=2",
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3,1")
    assert scaling.environment(2)["CUDA_VISIBLE_DEVICES"] == "5,3"


def test_noise_shards_have_the_requested_contents(tmp_path):
    scaling_records.write_shards(tmp_path, 7, TINY)
    data = shards.load(tmp_path)
    split = data.split(scaling_records.LABEL_SET, "train")
    assert split.labels.shape == (7, 3)
    assert data.signals_uv(split.rows).std() > 100


def test_every_input_mode_is_measured(tmp_path):
    scaling_records.write_shards(tmp_path, 7, TINY)
    rates = scaling_records.input_rates(tmp_path, batch=4, rounds=2)
    assert {"resident", "streamed"} < set(rates)
    for values in rates.values():
        assert len(values) == 2 and min(values) > 0


def test_peak_memory_of_metrics_grows_with_the_records():
    few, many = (scaling_records.metrics_cost(n, 3, rounds=1) for n in (200, 2000))
    assert 5 < many["peak_bytes"] / few["peak_bytes"] < 15


def test_the_command_measures_in_a_subprocess_and_writes(tmp_path, capsys):
    out = tmp_path / "machine.json"
    sizes = ["--base", "4", "50", "3", "--devices", "2", "--records", "6", "9"]
    flags = ["--vary", "records", "--rounds", "1", "--out", str(out)]
    assert scaling.main([*flags, *sizes]) == 0
    entry = json.loads(out.read_text())["scaling"]
    assert [point["records"] for point in entry["records"]] == [6, 9]
    assert {point["record_bytes"] for point in entry["records"]} == {50 * 12 * 2}
    assert entry["points"] == {}
    assert str(out) in capsys.readouterr().out


def test_a_failing_process_raises(tmp_path, capfd):
    flags = ["--vary", "records", "--records", "0", "--out", str(tmp_path / "x.json")]
    assert scaling.main([*flags, "--rounds", "1", "--base", "4", "50", "3"]) == 1
    assert "error: a measuring process failed" in capfd.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_network_row_of_the_table():
    (row,) = rows("cost", RESULTS)
    # 96 MiB on each of two devices for 32 records in all: 6 a record.
    assert row == (
        "| a GPU | batch 32 | 32 | 1000 | 10.0 (8.0–12.0) | 10.0 (8.0–12.0) "
        "| 96 | 6.0 | 8 | 22.8 | 20.5 |"
    )


def test_input_and_metrics_rows_of_the_tables():
    (row,) = rows("feeding", RESULTS)
    assert row == "| a GPU | 2,000 | streamed | 10,000 | 9,000–20,000 | 240 |"
    (row,) = rows("judging", RESULTS)
    assert row.endswith("| 2,000 | 71 | 10.00 | 8.00–12.00 | 1 | 524 |")


def test_estimates_the_needs_of_an_epoch():
    (row,) = rows("epochs", RESULTS)
    # 10 records of 24,000 bytes a second; 0.8 * 21,799 records at 10 a second.
    assert row.startswith("| a GPU | 10 | 0.2 | 240 | 29.1 min | 17.8 h | 9.3 days |")
    alone = {"gpu": {"scaling": {**ENTRY, "records": []}}}
    assert rows("epochs", alone) == []


def test_estimates_preparation_time():
    rates = {"wfdb.rdsamp loop": {"median": 1.0}, "build": {"median": 1000.0}}
    entry = {"records": 900, "records_per_second": rates}
    (row,) = rows("preparation", {"cpu": {"data_prep": {"set": entry}}, "other": {}})
    assert row == "| set, 900 records | build | 1,000 | 21.8 s | 13.3 min | 2.8 h |"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.24, "1.2 s"), (119, "119.0 s"), (121, "2.0 min"), (172_800, "2.0 days")],
)
def test_durations_use_a_suitable_unit(seconds, text):
    assert markdown.duration(seconds) == text


def test_noise_is_not_constant():
    signals, labels = TINY.arrays()
    assert np.unique(signals).size > 100 and 0 <= labels.mean() < 0.5


def test_the_command_has_help(capsys):
    with pytest.raises(SystemExit) as left:
        scaling.main(["--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in ("--vary", "--base", "--records", "[8, 32, 96, 256]"):
        assert name in text
