import csv
import io
import json
import math

import numpy as np
import pytest
import rich.console

from mrm_jax import cpsc_score, metrics, types
from mrm_jax.report import files as report_files
from mrm_jax.report import table as report_table

NAMES = ("CD", "HYP", "MI")
DESCRIPTIONS = ("Conduction disturbance", "Hypertrophy", "Infarction, [any]")
FACTS = {
    "data_set": "PTB-XL",
    "data_set_version": "subset",
    "label_set": "superdiagnostic",
    "records": {"train": 12345, "val": 30, "test": 40},
    "seed": 7,
    "epoch": 18,
    "command": "python -m mrm_jax.train --config experiments/ptbxl.py --workdir "
    "runs/a-folder-that-makes-the-line-longer-than-eighty-columns",
}


def random_split(seed, num_records, num_labels=3):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, num_labels, num_records).astype(np.int16)
    labels = np.eye(num_labels, dtype=np.uint8)[first]
    labels[:, 0] = labels[:, 0] | (rng.random(num_records) < 0.2)
    high, low = (
        np.clip(labels * 0.3 + rng.random(labels.shape) * 0.7, 0, 1, dtype=np.float32)
        for _ in range(2)
    )
    names = np.array([f"records100/{i:05d}_lr" for i in range(num_records)])
    return types.SplitScores(names, labels, high, low), first


@pytest.fixture
def splits():
    return random_split(0, 40)[0], random_split(1, 30)[0]


def write(folder, splits, facts=FACTS):
    return report_files.write(folder, facts, NAMES, DESCRIPTIONS, *splits)


def printed(report, width=80):
    console = rich.console.Console(file=io.StringIO(), width=width)
    report_table.print_table(report, console)
    return console.file.getvalue()


def test_report_holds_facts_and_metrics_of_all_heads(tmp_path, splits):
    test, val = splits
    report = write(tmp_path, splits)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report == report_files.read(tmp_path)
    assert report["facts"] == FACTS
    for head in ("high", "low", "mean"):
        of_val = metrics.evaluate(val.heads[head], val.labels)
        assert report["val"][head] == of_val
        threshold = of_val["fmax_threshold"]
        of_test = metrics.evaluate(test.heads[head], test.labels, threshold)
        assert report["test"][head] == of_test


def test_mean_is_half_of_both(splits):
    test, _ = splits
    np.testing.assert_allclose(test.heads["mean"], test.high / 2 + test.low / 2)


def test_nothing_temporary_stays(tmp_path, splits):
    write(tmp_path, splits)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["report.csv", "report.json", "scores.npz"]


def test_scores_come_back_without_pickle(tmp_path, splits):
    test, _ = splits
    write(tmp_path, splits)
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        assert file["names"].tolist() == test.names.tolist()
        assert file["label_names"].tolist() == list(NAMES)
        np.testing.assert_array_equal(file["labels"], test.labels)
        for head, scores in test.heads.items():
            np.testing.assert_array_equal(file[head], scores)
        assert "first_label" not in file


def test_one_row_per_label(tmp_path, splits):
    test, _ = splits
    write(tmp_path, splits)
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == list(NAMES)
    assert [row["description"] for row in rows] == list(DESCRIPTIONS)
    assert [int(row["positive_records"]) for row in rows] == test.labels.sum(0).tolist()
    for head, scores in test.heads.items():
        expected = metrics.evaluate_labels(scores, test.labels)
        for column in ("auc", "average_precision", "f1"):
            found = [float(row[f"{column}_{head}"]) for row in rows]
            np.testing.assert_allclose(found, getattr(expected, column), atol=1e-6)


def test_what_is_not_defined_is_empty_null_and_a_dash(tmp_path):
    one = types.SplitScores(
        np.array(["a"]),
        np.array([[1, 0, 0]]),
        np.array([[0.9, 0.1, 0.2]]),
        np.array([[0.8, 0.1, 0.2]]),
    )
    report = write(tmp_path, (one, one), FACTS | {"best": math.nan})
    text = (tmp_path / "report.json").read_text()
    assert "NaN" not in text and report["facts"]["best"] is None
    assert report["test"]["mean"]["macro_auc"] is None
    assert (
        (tmp_path / "report.csv")
        .read_text()
        .splitlines()[2]
        .startswith("HYP,Hypertrophy,0,,,,")
    )
    line = next(line for line in printed(report).splitlines() if "macro AUC" in line)
    assert line.split() == ["macro", "AUC", "-", "-", "-"]


def test_the_official_score_is_there_where_all_first_labels_are(tmp_path):
    split, first = random_split(2, 60, num_labels=9)
    arrays = (split.names, split.labels, split.high, split.low)
    known = types.SplitScores(*arrays, first)
    report = report_files.write(tmp_path, FACTS, "123456789", "123456789", known, known)
    expected = cpsc_score.evaluate(split.mean, split.labels, first)
    found = report["test"]["mean"]
    assert {name: found[name] for name in expected} == expected
    assert f"{expected['cpsc_f1']:.3f}" in printed(report)
    with np.load(tmp_path / "scores.npz") as file:
        np.testing.assert_array_equal(file["first_label"], first)

    unknown = types.SplitScores(*arrays, np.where(first == 3, -1, first))
    assert "cpsc_f1" not in report_files.evaluate(unknown, known)["test"]["mean"]


def test_the_table_names_what_was_measured_in_80_columns(tmp_path, splits):
    report = write(tmp_path, splits)
    *lines, command = printed(report).splitlines()
    text = "\n".join(lines)
    for part in ("PTB-XL", "subset", "superdiagnostic", "seed 7", "epoch 18"):
        assert part in text
    assert "12,345 train, 30 val, 40 test" in text
    assert f"share of zeros: {report['test']['high']['share_of_zeros']:.3f}" in text
    assert "3 of 3 labels" in text
    assert max(map(len, lines)) <= 80
    assert command == f"command: {FACTS['command']}"  # whole, to be copied


def test_the_table_holds_high_low_and_mean_in_columns(tmp_path, splits):
    report = write(tmp_path, splits)
    lines = printed(report).splitlines()
    assert any(line.split() == ["high", "low", "mean"] for line in lines)
    (line,) = (line for line in lines if "macro AUC" in line)
    expected = [
        f"{report['test'][h]['macro_auc']:.3f}" for h in ("high", "low", "mean")
    ]
    assert line.split() == ["macro", "AUC", *expected]


def test_a_name_in_brackets_is_no_markup(tmp_path, splits):
    report = write(tmp_path, splits, FACTS | {"data_set": "mine [red]"})
    assert "mine [red], version subset" in printed(report)


def test_numbers_without_their_origin_are_refused(tmp_path, splits):
    facts = {name: value for name, value in FACTS.items() if name != "seed"}
    with pytest.raises(ValueError, match=r"missing \['seed'\]"):
        write(tmp_path, splits, facts)
    assert not list(tmp_path.iterdir())


def test_names_have_to_fit_the_labels(tmp_path, splits):
    with pytest.raises(ValueError, match="descriptions of 3 labels, found 2 and 3"):
        report_files.write(tmp_path, FACTS, NAMES[:2], DESCRIPTIONS, *splits)


def test_arrays_of_other_records_are_refused(splits):
    test, val = splits
    with pytest.raises(ValueError, match=r"found \[\(30, 3\), \(40, 3\)\]"):
        types.SplitScores(test.names, test.labels, test.high, val.low)
    with pytest.raises(ValueError, match=r"lengths \[30, 40\]"):
        types.SplitScores(val.names, test.labels, test.high, test.low)


def test_a_run_without_a_report_says_so(tmp_path):
    with pytest.raises(ValueError, match="report.json: not found; the run is not fini"):
        report_files.read(tmp_path)
