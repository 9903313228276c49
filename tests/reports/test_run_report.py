import csv
import dataclasses
import json
import math

import numpy as np
import pytest

from mrm_jax.metrics import summary, thresholds
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import run_report
from tests.helpers import small_reports
from tests.helpers.small_reports import DESCRIPTIONS, FACTS, HEADS, NAMES


@pytest.fixture(scope="module")
def splits():
    return small_reports.split(0, 40), small_reports.split(1, 30)


@pytest.fixture(scope="module")
def finished(splits, tmp_path_factory):
    """A folder with a report, and what was returned."""
    folder = tmp_path_factory.mktemp("run")
    return folder, write(folder, splits)


def write(folder, splits, facts=FACTS):
    test, val = splits
    evaluated = summary.Evaluated(test, thresholds.choose(val), val=val)
    return write_evaluated(folder, facts, evaluated)


def write_evaluated(folder, facts, evaluated, names=NAMES, descriptions=DESCRIPTIONS):
    report = run_report.compose(facts, names, descriptions, evaluated)
    run_report.write(folder, report, evaluated.scores)
    return report


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_has_metadata_and_all_metrics(finished, splits):
    folder, report = finished
    test, val = splits
    stored = json.loads((folder / "report.json").read_text())
    assert stored.pop("checksum")
    assert report == stored == run_report.read(folder)
    assert report["facts"] == FACTS | {"split": "test", "evaluated_on": None}
    evaluated = summary.Evaluated(test, thresholds.choose(val), val=val)
    numbers = summary.summarise(evaluated, NAMES, DESCRIPTIONS)
    assert report == {"facts": report["facts"], "num_labels": 3, **numbers}
    assert report["intervals"]["resamples"] == 1000


def test_mean_is_the_mean_of_both_heads(splits):
    test, _ = splits
    both = test.heads["high"] / 2 + test.heads["low"] / 2
    np.testing.assert_allclose(test.heads["mean"], both)


def test_no_temporary_files_remain(finished):
    found = sorted(path.name for path in finished[0].iterdir())
    assert found == [
        *("metrics.csv", "report.csv", "report.json", "scores.npz"),
    ]


def test_scores_load_without_pickle(finished, splits):
    test, _ = splits
    with np.load(finished[0] / "scores.npz", allow_pickle=False) as file:
        assert file["names"].tolist() == test.names.tolist()
        assert file["label_names"].tolist() == list(NAMES)
        np.testing.assert_array_equal(file["labels"], test.labels)
        for head, scores in test.heads.items():
            np.testing.assert_array_equal(file[head], scores)
        assert "first_label" not in file


def test_first_labels_are_stored_with_the_scores(tmp_path):
    split = small_reports.split(2, 60, num_labels=9, first_labels=True)
    evaluated = summary.Evaluated(split, thresholds.choose(split), val=split)
    write_evaluated(tmp_path, FACTS, evaluated, "123456789", "123456789")
    with np.load(tmp_path / "scores.npz") as file:
        np.testing.assert_array_equal(file["first_label"], split.first_label)


def test_one_row_per_label(finished, splits):
    folder, report = finished
    found = rows(folder / "report.csv")
    assert [row["label"] for row in found] == list(NAMES)
    assert [row["description"] for row in found] == list(DESCRIPTIONS)
    expected = splits[0].labels.sum(axis=0).tolist()
    assert [int(row["positive_records"]) for row in found] == expected
    for row, label in zip(found, report["labels"], strict=True):
        for head in HEADS:
            values = label["heads"][head]
            cells = {"threshold_" + head: values["threshold"]}
            for name in summary.LABEL_METRICS:
                cells[f"{name}_{head}"] = values[name]
                low, high = values[f"{name}_interval"]
                cells |= {f"{name}_{head}_low": low, f"{name}_{head}_high": high}
            assert {name: float(row[name]) for name in cells} == pytest.approx(
                cells, abs=1e-6
            )


def test_one_row_per_metric_and_head(finished):
    folder, report = finished
    found = {(row["metric"], row["head"]): row for row in rows(folder / "metrics.csv")}
    for head in HEADS:
        of_head = report["test"][head]
        assert {name for name, its in found if its == head} >= set(of_head)
        for name, value in of_head.items():
            row = found[name, head]
            assert float(row["value"]) == pytest.approx(value, abs=1e-6)
            ends = report["intervals"]["heads"][head][name] or ("", "")
            cells = [row["interval_low"], row["interval_high"]]
            assert [c and float(c) for c in cells] == pytest.approx(ends, abs=1e-6)
        row, of_head = found["ece_scaled", head], report["calibration"][head]
        cells = [float(row[n]) for n in ("value", "interval_low", "interval_high")]
        expected = [of_head["ece_scaled"], *of_head["ece_scaled_interval"]]
        assert cells == pytest.approx(expected, abs=1e-6)
        assert found["temperature", head]["interval_low"] == ""


def test_undefined_values_are_null_or_empty_cells(tmp_path):
    one = SplitScores.of_two(
        np.array(["a"]),
        np.array([[1, 0, 0]]),
        np.array([[0.9, 0.1, 0.2]]),
        np.array([[0.8, 0.1, 0.2]]),
    )
    report = write(tmp_path, (one, one), FACTS | {"best": math.nan})
    text = (tmp_path / "report.json").read_text()
    assert "NaN" not in text and report["facts"]["best"] is None
    assert report["test"]["mean"]["macro_auc"] is None
    row = rows(tmp_path / "report.csv")[1]
    assert (row["label"], row["positive_records"]) == ("HYP", "0")
    assert row["auc_mean"] == row["auc_mean_low"] == row["ppv_mean"] == ""
    macro = rows(tmp_path / "metrics.csv")[0]
    assert macro["metric"] == "macro_auc"
    assert macro["value"] == macro["interval_low"] == macro["interval_high"] == ""


def test_another_split_is_reported_by_its_name(tmp_path, splits):
    test, val = splits
    chosen = thresholds.choose(val)
    facts = FACTS | {"evaluated_on": {"data_set": "CPSC2018"}}
    evaluated = summary.Evaluated(val, chosen, split="val")
    report = write_evaluated(tmp_path, facts, evaluated)
    assert report["facts"] == facts | {"split": "val"}
    assert "test" not in report
    found = rows(tmp_path / "metrics.csv")[0]
    assert float(found["value"]) == pytest.approx(report["val"]["high"]["macro_auc"])
    with np.load(tmp_path / "scores.npz") as file:
        np.testing.assert_array_equal(file["mean"], val.mean)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"facts": {"epo', "is damaged .* Unterminated string"),
        (b"\xff\xfe{}", "is damaged .* 'utf-8' codec"),
        (b"[]", "is damaged .*Expected `object`, got `array`"),
        (b'{"facts": {"epoch": 1}}', "is damaged .* missing required field"),
    ],
)
def test_a_damaged_report_is_named(tmp_path, content, message):
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"report.json {message}.*mrm_jax.evaluate"):
        run_report.read(tmp_path)


def test_missing_metadata_raises(tmp_path, splits):
    facts = {name: value for name, value in FACTS.items() if name != "seed"}
    with pytest.raises(ValueError, match=r"lacks \['seed'\]"):
        write(tmp_path, splits, facts)
    assert not list(tmp_path.iterdir())


def test_names_must_match_the_labels(tmp_path, splits):
    with pytest.raises(ValueError, match="descriptions of 3 labels, found 2 and 3"):
        run_report.compose(
            *(FACTS, NAMES[:2], DESCRIPTIONS),
            summary.Evaluated(splits[0], thresholds.choose(splits[1])),
        )


def test_arrays_of_other_records_raise(splits):
    test, val = splits
    with pytest.raises(ValueError, match=r"found \[\(30, 3\), \(40, 3\)\]"):
        SplitScores.of_two(
            test.names, test.labels, test.heads["high"], val.heads["low"]
        )
    with pytest.raises(ValueError, match=r"lengths \[30, 40\]"):
        dataclasses.replace(test, names=val.names)


def test_a_run_without_a_report_raises(tmp_path):
    with pytest.raises(
        ValueError, match="report.json was not found: the run is not fin"
    ):
        run_report.read(tmp_path)
