import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mrm_jax.inference import prediction

HIGH = np.array([[0.9, 0.2, 0.1], [0.5, 0.6, 0.1]])
LOW = np.array([[0.7, 0.2, 0.3], [0.3, 0.8, 0.1]])


def made(**changes):
    """Two windows of three labels; their mean scores are .6, .45 and .15."""
    facts = {
        "name": "A1",
        "source": Path("data/A1.hea"),
        "duration_s": 15.0,
        "labels": ("AF", "PVC", "STD"),
        "descriptions": ("fibrillation", "extra beat", "depression"),
        "head": "mean",
        "thresholds": {"AF": 0.6, "PVC": 0.5, "STD": 0.1},
        "aggregate": "mean",
        "window_s": 10.0,
        "window_starts_s": (0.0, 5.0),
        "window_scores": {"mean": (HIGH + LOW) / 2, "high": HIGH, "low": LOW},
        "notes": ("a note",),
    }
    return prediction.Prediction(**(facts | changes))


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("mean", (0.6, 0.45, 0.15)),
        ("max", (0.8, 0.7, 0.2)),
        ("first", (0.8, 0.2, 0.2)),
    ],
)
def test_scores_of_windows_are_averaged(aggregate, expected):
    scores = made(aggregate=aggregate).scores
    assert scores == pytest.approx(
        dict(zip(("AF", "PVC", "STD"), expected, strict=True))
    )


def test_returns_the_scores_of_a_branch():
    assert made(head="high")["AF"] == pytest.approx(0.7)
    assert made().scores_of("low")["PVC"] == pytest.approx(0.5)


def test_a_score_that_reaches_its_threshold_predicts_the_label():
    one = made(thresholds={"AF": 0.7, "PVC": made()["PVC"], "STD": 0.1})
    assert one.found == ("PVC", "STD")  # the highest first


def test_a_labels_window_has_its_highest_score():
    one = made()
    assert (one.window_of(["AF"]), one.window_of(["PVC"])) == (0, 1)
    assert one.window_of(["PVC", "AF"]) == 0  # 0.8 against 0.7
    assert one.window_of([]) == 0


def test_an_unknown_label_raises():
    with pytest.raises(KeyError, match="no label 'LBBB'; the labels are AF, PVC, STD"):
        made()["LBBB"]
    with pytest.raises(ValueError, match="label: expected one of AF, PVC, STD"):
        made().window_of(["AF", "LBBB"])


def test_an_unknown_head_raises():
    with pytest.raises(ValueError, match="head: expected one of mean, high, low"):
        made().scores_of("middle")


def test_is_a_mapping_of_labels_to_scores():
    one = made()
    assert isinstance(one, Mapping)
    assert dict(one) == dict(one.items()) == one.scores
    assert list(one) == list(one.keys()) == ["AF", "PVC", "STD"]
    assert list(one.values()) == pytest.approx([0.6, 0.45, 0.15])
    assert len(one) == 3
    assert "AF" in one and "LBBB" not in one
    assert one.get("LBBB") is None and one.get("AF") == one["AF"]
    assert max(one, key=one.get) == "AF"
    assert dict(made(head="low"))["PVC"] == pytest.approx(0.5)


def test_is_equal_to_itself_only():
    one, other = made(), made()
    assert one == one and one != other and one != dict(one)
    assert len({one, other, one}) == 2


def test_formats_json():
    said = json.loads(json.dumps(made().to_dict(windows=True)))
    assert said["record"] == "A1"
    assert said["found"] == ["AF", "STD"]
    assert said["scores"]["high"]["AF"] == pytest.approx(0.7)
    assert [window["start_s"] for window in said["windows"]] == [0.0, 5.0]
    assert said["windows"][1]["scores"]["PVC"] == pytest.approx(0.7)
    assert said["notes"] == ["a note"]
    assert "windows" not in made().to_dict()


def test_formats_one_line():
    assert repr(made()) == "<Prediction A1: AF 0.60, STD 0.15>"
    nothing = made(thresholds=dict.fromkeys(("AF", "PVC", "STD"), 0.99))
    assert repr(nothing) == "<Prediction A1: nothing found>"


def test_table_has_predicted_labels_and_the_highest_scores():
    lines = prediction.table(made(), top=1).splitlines()
    assert lines[0] == "A1: 15 s, mean of 2 windows"
    assert [line.split()[0] for line in lines[2:]] == ["AF", "STD", "note:"]
    assert "found" in lines[2] and "fibrillation" in lines[2]


def test_text_has_all_scores():
    assert [line.split()[0] for line in str(made()).splitlines()[2:5]] == [
        "AF",
        "PVC",
        "STD",
    ]
