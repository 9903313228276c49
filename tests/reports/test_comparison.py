import csv
import io
import json

import pytest
import rich.console

from mrm_jax.metrics import names, significance
from mrm_jax.reports import comparison


def found(a, b, interval=None, p=None, **more):
    difference = None if a is None else b - a
    cells = {"a": a, "b": b, "difference": difference}
    return cells | {"interval": interval, "p_value": p} | more


def result(num_labels=2, note=None, rare_note=None):
    heads = ("high", "low", "mean")
    of_label = found(0.75, 0.875, [0.0625, 0.25], 0.004, p_holm=0.008)
    undefined = found(None, None, p_holm=None)
    labels = [
        {
            "label": f"L[{number}]",
            "positive_records": number,
            "heads": {
                head: {"auc": of_label if number else undefined} for head in heads
            },
        }
        for number in range(num_labels)
    ]
    metrics = {
        "macro_auc": found(0.75, 0.5, [-0.375, -0.125], 0.002),
        "accuracy": found(0.5, 0.5),
    }
    other = {
        "b": {"workdir": "runs/b", "seed": 2, "epoch": 9, "command": "train b"},
        "heads": dict.fromkeys(heads, metrics),
        "labels": labels,
    }
    return {
        "facts": {
            "data_set": "PTB-XL",
            "data_set_version": "1.0.3",
            "label_set": "form",
            "split": "test",
            "records": 1234,
            "command": "evaluate",
        },
        "intervals": {
            "level": 0.95,
            "resamples": 1000,
            "seed": 0,
            "note": note,
            "rare_note": rare_note,
            **significance.limits(1000, num_labels),
        },
        "a": {"workdir": "runs/a", "seed": 1, "epoch": 7, "command": "train a"},
        "others": [other],
    }


def printed(given, width=80):
    console = rich.console.Console(file=io.StringIO(), width=width)
    comparison.print_tables(given, console)
    return console.file.getvalue()


def test_json_holds_the_result(tmp_path):
    comparison.write(tmp_path, result())
    assert json.loads((tmp_path / "comparison.json").read_text()) == result()
    assert len(list(tmp_path.iterdir())) == 2


def test_csv_has_a_row_for_each_head_and_metric_or_label(tmp_path):
    comparison.write(tmp_path, result())
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (2 + 2)
    assert rows[0] == {
        "a": "runs/a",
        "b": "runs/b",
        "head": "high",
        "label": "",
        "metric": "macro_auc",
        "value_a": "0.75",
        "value_b": "0.5",
        "difference": "-0.25",
        "low": "-0.375",
        "high": "-0.125",
        "p_value": "0.002",
        "p_holm": "",
    }
    assert (rows[-1]["label"], rows[-1]["p_holm"]) == ("L[1]", "0.008")


def test_tables_describe_the_runs_and_the_sign():
    text = printed(result())
    for part in (
        "PTB-XL, version 1.0.3, label set form: 1,234 test records",
        "A: runs/a, seed 1, epoch 7",
        "B: runs/b, seed 2, epoch 9",
        "positive differences favour B",
        "1,000",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_row_wraps_at_80_columns():
    given = result()
    metrics = dict.fromkeys(names.SPLIT, found(0.75, 0.5, [-0.375, -0.125], 0.002))
    given["others"][0]["heads"] = {"mean": metrics}
    lines = printed(given).splitlines()
    for title in names.compared(names.SPLIT).values():
        (line,) = (line for line in lines if line.strip().startswith(f"{title} "))
        assert line.endswith("0.750  0.500  -0.250  -0.375 -0.125  0.002  "), title
    assert max(map(len, lines)) <= 80


def test_an_untrained_head_is_reported():
    given = result()
    given["others"][0]["b"]["untrained"] = ["low"]
    notice = (
        "the low head was not trained (weight 0 in the loss): read only the high head"
    )
    assert f"B: runs/b, seed 2, epoch 9; {notice}" in printed(given)
    assert printed(given).count(notice) == 1 and notice not in printed(result())


def test_the_mean_score_comes_first():
    text = printed(result())
    assert text.index("mean score") < text.index("high score") < text.index("low score")


def test_numbers_are_in_their_columns():
    lines = printed(result()).splitlines()
    auc = next(line.split() for line in lines if "macro AUC" in line)
    assert auc == "macro AUC 0.750 0.500 -0.250 -0.375 -0.125 0.002".split()
    accuracy = next(line.split() for line in lines if "accuracy" in line)
    assert accuracy == "accuracy at 0.5 0.500 0.500 +0.000 - -".split()
    undefined = next(line.split() for line in lines if "L[0]" in line)
    assert undefined == "L[0] 0 - - - - - -".split()
    label = next(line.split() for line in lines if "L[1]" in line)
    assert label == "L[1] 1 0.750 0.875 +0.125 +0.062 +0.250 0.004 0.008".split()


def test_many_labels_are_sorted_by_p_value(tmp_path):
    given = result(num_labels=71)
    given["others"][0]["labels"][50]["heads"]["mean"]["auc"] = found(
        0.5, 0.9, [0.3, 0.5], 0.001, p_holm=0.07
    )
    text = printed(given)
    assert text.count("L[") == comparison.MAX_LABELS
    assert "L[50]" in text and "L[0]" not in text
    assert "30 lowest p-values of 71" in text


def test_several_runs_get_letters():
    given = result()
    second = given["others"][0] | {
        "b": {"workdir": "runs/c", "seed": 3, "epoch": 1, "command": ""}
    }
    given["others"].append(second)
    text = printed(given)
    assert "C: runs/c" in text and "C - A: positive differences favour C" in text


@pytest.mark.parametrize("note", ["2 resamples lack a class"])
def test_missing_intervals_are_explained(note):
    assert note in printed(result(note=note))


def test_a_note_warns_of_p_values_that_cannot_be_small():
    text = " ".join(printed(result(num_labels=71)).split())
    assert "no Holm-adjusted p-value of 71 labels can fall below 0.142" in text
    assert "20,000 or more (--resamples)" in text
    assert "can fall" not in printed(result(num_labels=25))


def test_missing_p_values_of_rare_labels_are_explained():
    assert "3 of 9 are rare" in printed(result(rare_note="3 of 9 are rare"))
