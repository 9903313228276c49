"""Tests of the benchmarks' arithmetic; no test depends on timings."""

import json

import numpy as np
import pytest

from benchmarks import (
    data_prep,
    hardware,
    harness,
    intervals,
    precision,
    scaling,
    speed_table,
    tables,
)
from tests.helpers import raw_records


def test_variants_alternate_and_the_first_round_is_discarded():
    calls = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = harness.alternate(ways, rounds=2)
    assert calls == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_setup_of_a_turn_is_not_timed():
    calls = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = harness.alternate(ways, rounds=1, settle=True)
    assert calls == ["a", "a", "b", "b"] * 2
    assert [len(values) for values in seconds.values()] == [1, 1]


def test_ratios_are_computed_per_round():
    # The machine slowed down for both in the second round.
    seconds = {"base": [2.0, 20.0, 2.0], "ours": [1.0, 5.0, 1.0]}
    found = harness.compare(seconds, work=10, base="base")
    assert found["base"]["ratio"] == 1
    assert found["ours"]["median"] == 10  # records/s of 10, 2 and 10
    assert (found["ours"]["lowest"], found["ours"]["highest"]) == (2, 10)
    ratios = ("ratio", "lowest_ratio", "highest_ratio")
    assert [found["ours"][name] for name in ratios] == [2, 2, 4]


def test_durations_are_reported_in_seconds():
    found = harness.compare_seconds({"base": [4.0], "ours": [2.0]}, base="base")
    assert found["ours"]["median"] == 2
    assert found["ours"]["ratio"] == 2


def test_writing_keeps_entries_of_other_benchmarks(tmp_path, capsys):
    out = tmp_path / "results" / "machine.json"
    harness.save(out, "first", {"value": 1})
    harness.save(out, "second", {"value": 2})
    harness.save(out, "first", {"value": 3})
    content = json.loads(out.read_text())
    assert {name: entry["value"] for name, entry in content.items()} == {
        "first": 3,
        "second": 2,
    }
    assert content["first"]["machine"]["cores"] >= 1
    assert str(out) in capsys.readouterr().out


def test_a_benchmark_can_store_several_entries(tmp_path):
    out = tmp_path / "machine.json"
    harness.save(out, "data_prep", {"value": 1}, part="one")
    harness.save(out, "data_prep", {"value": 2}, part="two")
    harness.save(out, "data_prep", {"value": 3}, part="one")
    entry = json.loads(out.read_text())["data_prep"]
    assert {name: part["value"] for name, part in entry.items()} == {"one": 3, "two": 2}
    assert entry["two"]["machine"]["cores"] >= 1


def test_formats_a_table_row(tmp_path):
    found = harness.compare({"ours": [2.0], "base": [4.0]}, work=8, base="base")
    entry = {"records_per_second": {"batch 96": found}}
    harness.save(tmp_path / "gpu.json", "train_step", entry)
    harness.save(tmp_path / "other.json", "preparation", {})
    results = tables.results(tmp_path)
    assert list(results) == ["gpu", "other"]
    head, rule, *rows = speed_table.table(results).splitlines()
    assert len(rows) == 2
    assert head.count("|") == rule.count("|") == rows[0].count("|")
    assert "| training, records/s: batch 96 | ours |" in rows[1]
    assert rows[1].endswith("| 4.0 | 4.0–4.0 | 2.00 | 2.00–2.00 |")


def test_formats_a_row_of_device_usage():
    limit = dict.fromkeys(("share_of_arithmetic", "share_of_copy"), 1.0)
    row = {"gflop_per_s": 1234.5, "gb_per_s": 6.78, **limit}
    entry = {"machine": {"device": "GPU"}, "used": {"batch 96": {"training": row}}}
    line = speed_table.hardware({"gpu": {"hardware": entry}, "x": {}}).splitlines()[2]
    assert line == "| GPU | batch 96 | training | 1,234 | 6.8 | 100% | 100% |"


def test_documents_show_the_measured_numbers():
    assert tables.main(["--check"]) == 0


def test_updating_a_table_keeps_the_surrounding_text():
    text = "a\n<!-- x -->\nold\n<!-- end of x -->\nb <!-- y --><!-- end of y -->"
    made = tables.filled(text, {"x": "new", "y": "other"})
    assert made == (
        "a\n<!-- x -->\nnew\n<!-- end of x -->\nb <!-- y -->\nother\n<!-- end of y -->"
    )


@pytest.mark.parametrize("text", ["no table", "<!-- speed --> no end"])
def test_a_document_without_the_table_markers_raises(
    tmp_path, monkeypatch, capsys, text
):
    path = tmp_path / "benchmarks.md"
    path.write_text(text)
    monkeypatch.setattr(tables, "DOCUMENTS", {path: {"speed": speed_table.table}})
    assert tables.main([]) == 2
    assert "expected the lines <!-- speed -->" in capsys.readouterr().err
    assert path.read_text() == text


def test_differences_are_found_and_written(tmp_path, monkeypatch):
    path = tmp_path / "benchmarks.md"
    path.write_text("<!-- speed -->\nold\n<!-- end of speed -->")
    monkeypatch.setattr(tables, "DOCUMENTS", {path: {"speed": lambda results: "new"}})
    assert tables.main(["--check"]) == 1
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert path.read_text() == "<!-- speed -->\nnew\n<!-- end of speed -->"


def test_both_implementations_give_the_same_intervals():
    rng = np.random.default_rng(1)
    scores, labels = rng.random((60, 3)), rng.integers(0, 2, (60, 3))
    labels[:, 2] = np.arange(60) < 2  # rare enough to be drawn again
    found = intervals.ours(scores, labels, resamples=40)
    expected = intervals.loop(scores, labels, resamples=40)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12)


def test_intervals_are_measured_for_a_thousand_resamples(tmp_path, capsys):
    out = tmp_path / "machine.json"
    size = "--records 50 --labels 2 --resamples 100 --loop_resamples 2 --rounds 1"
    assert intervals.main([*size.split(), "--out", str(out)]) == 0
    entry = json.loads(out.read_text())["intervals"]
    ways = entry["seconds"]["50 records, 2 labels"]
    expected = {"scikit-learn loop", "mrm_jax", "mrm_jax report"}
    assert set(ways) == set(entry["resamples"]) == expected
    assert ways["mrm_jax"]["ratio"] > 0
    assert "100 resamples by mrm_jax, 2 by the loop" in capsys.readouterr().out


def test_preparation_rates_count_every_copy(tmp_path, monkeypatch, capsys):
    raw_records.write_ptbxl(tmp_path / "raw", ["{'SR': 0.0}"] * 3, folds=[1, 9, 10])

    def work_for_two_seconds(ways, rounds):
        for way in ways.values():
            way()
        return {name: [2.0] * rounds for name in ways}

    monkeypatch.setattr(harness, "alternate", work_for_two_seconds)
    out = tmp_path / "machine.json"
    flags = "--jobs 1 --copies 4 --rounds 1 --name tiny".split()
    raw_dir = ["--raw_dir", str(tmp_path / "raw")]
    assert data_prep.main([*raw_dir, *flags, "--out", str(out)]) == 0
    entry = json.loads(out.read_text())["data_prep"]["tiny"]
    rows = entry["records_per_second"]
    assert {name: row["median"] for name, row in rows.items()} == {
        "wfdb.rdsamp loop": 1.5,
        "whole command": 1.5,
        "build": 1.5,
        "build, records x 4": 6,
    }
    assert rows["build, records x 4"]["ratio"] == 4
    assert entry["records"] == 3
    assert all(mib > 10 for mib in entry["peak_mib"].values())
    assert "tiny: 3 records" in capsys.readouterr().out


def test_missing_raw_records_raise(tmp_path, capsys):
    assert data_prep.main(["--raw_dir", str(tmp_path)]) == 1
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [data_prep, hardware, intervals, precision, scaling]
)
def test_help_works_without_pytorch(command, capsys):
    _has_help(command, capsys)


@pytest.mark.torch
@pytest.mark.parametrize(
    "name",
    [
        *("train_step", "scoring", "epoch", "startup", "memory", "profile_step"),
        *("parts", "step_variants"),
    ],
)
def test_every_command_has_help(name, capsys):
    pytest.importorskip("torch", exc_type=ImportError)
    _has_help(__import__(f"benchmarks.{name}", fromlist=["main"]), capsys)


def _has_help(module, capsys):
    with pytest.raises(SystemExit) as left:
        module.main(["--help"])
    assert left.value.code == 0
    assert "--out" in capsys.readouterr().out
