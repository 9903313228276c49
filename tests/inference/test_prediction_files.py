import csv
import json
from pathlib import Path

import pytest

from mrm_jax.inference import prediction, prediction_files
from tests.inference import test_prediction

ABOUT = {"labels": ["AF", "PVC", "STD"], "head": "mean", "workdir": "runs/x"}
RESULTS = [
    (Path("data/A1.hea"), test_prediction.made()),
    (Path("data/A2.hea"), ValueError("flat lead: V1 constant")),
]


def test_csv_has_a_row_for_each_record(tmp_path):
    path = tmp_path / "scores.csv"
    prediction_files.write(path, RESULTS, ABOUT, windows=False)
    with path.open(newline="") as file:
        scored, failed = csv.DictReader(file)
    assert scored["record"] == "A1"
    assert scored["file"] == "data/A1.hea"
    assert scored["found"] == "AF; STD"
    assert float(scored["PVC"]) == pytest.approx(0.45)
    assert (scored["window_start_s"], scored["error"]) == ("", "")
    assert failed["record"] == "A2"
    assert failed["error"] == "flat lead: V1 constant"
    assert failed["AF"] == ""


def test_csv_with_windows_also_has_a_row_for_each_window(tmp_path):
    path = tmp_path / "scores.csv"
    prediction_files.write(path, RESULTS, ABOUT, windows=True)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["window_start_s"] for row in rows] == ["", "0.0", "5.0", ""]
    assert [row["record"] for row in rows] == ["A1", "A1", "A1", "A2"]
    assert float(rows[2]["PVC"]) == pytest.approx(0.7)


def test_labels_that_are_named_like_other_columns_keep_both(tmp_path):
    labels = ("found", "error", "STD")
    one = test_prediction.made(labels=labels, thresholds=dict.fromkeys(labels, 0.5))
    path = tmp_path / "scores.csv"
    prediction_files.write(
        path, [(Path("A1"), one)], ABOUT | {"labels": labels}, windows=True
    )
    with path.open(newline="") as file:
        whole, first, _ = csv.DictReader(file)
    assert (whole["found"], whole["error"]) == ("found", "")
    assert float(whole["score of found"]) == pytest.approx(0.6)
    assert float(first["score of error"]) == pytest.approx(0.2)


def test_json_has_the_run_and_all_records(tmp_path):
    path = tmp_path / "scores.json"
    prediction_files.write(path, RESULTS, ABOUT, windows=False)
    content = json.loads(path.read_text())
    assert content["workdir"] == "runs/x"
    scored, failed = content["records"]
    assert scored["error"] is None
    assert scored["scores"]["mean"]["AF"] == pytest.approx(0.6)
    assert failed == {
        "record": "A2",
        "file": "data/A2.hea",
        "error": "flat lead: V1 constant",
    }


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        prediction_files.write(path, RESULTS, {**ABOUT, "x": object()}, windows=False)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scores.xlsx", r"ending in \.csv or \.json"),
        ("no/scores.csv", "no does not exist. Create"),
    ],
)
def test_unwritable_files_raise(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        prediction_files.check_suffix(tmp_path / name)


def test_few_records_are_shown_with_their_scores():
    lines = "\n".join(prediction.lines(RESULTS, top=2, windows=True)).splitlines()
    assert lines[0] == "A1: 15 s, mean of 2 windows"
    assert "  from 5 s: PVC 0.700, STD 0.100" in lines
    assert lines[-2:] == [
        "not scored: 1 of 2",
        "  data/A2.hea: flat lead: V1 constant",
    ]


def test_many_records_are_shown_one_per_row():
    nothing = dict.fromkeys(("AF", "PVC", "STD"), 0.99)
    results = [
        (Path(f"{n}.hea"), test_prediction.made(name=f"{n}", notes=())) for n in "abcd"
    ]
    results.append((Path("e"), test_prediction.made(name="e", thresholds=nothing)))
    lines = list(prediction.lines(results, top=5, windows=False))
    assert lines[1].split() == ["a", "15.0", "s", "AF", "0.600,", "STD", "0.150"]
    assert lines[5].endswith("nothing; highest AF 0.600")
    assert lines[6].strip() == "note: a note"
    assert lines[7] == "found in: AF 4, STD 4; nothing in 1 of 5"


def test_very_many_records_are_counted():
    results = [(Path("a"), test_prediction.made(notes=()))] * 100
    lines = list(prediction.lines(results, top=5, windows=False))
    assert len(lines) == prediction.MOST_ROWS + 3
    assert lines[-2] == "and 60 more; use --out FILE.csv to get them all"
