import csv
import io
import json
import math

import pytest
import rich.console

from mrm_jax.reports import seed_summary

RUNS = [
    {"workdir": f"runs/[s{seed}]", "seed": seed, "epoch": 10 + seed, "command": ""}
    for seed in (1, 2, 3)
]
FACTS = {
    "data_set": "PTB-XL",
    "data_set_version": "1.0.3",
    "label_set": "form",
    "split": "test",
    "records": 882,
    "command": "evaluate",
}


def observed(auc, cpsc=0.5):
    values = {"macro_auc": auc, "macro_labels": 9, "cpsc_f1": cpsc}
    return dict.fromkeys(("high", "low", "mean"), values)


def summary():
    values = [observed(0.8), observed(0.9, math.nan), observed(1.0)]
    return {"facts": FACTS, **seed_summary.summarise(RUNS, values)}


def test_mean_and_deviation_by_hand():
    found = summary()["heads"]["mean"]["macro_auc"]
    assert found["values"] == [0.8, 0.9, 1.0]
    assert found["mean"] == pytest.approx(0.9)
    assert found["sd"] == pytest.approx(0.1)  # with n - 1; with n it is 0.082


def test_what_one_run_lacks_has_no_mean():
    found = summary()["heads"]["low"]["cpsc_f1"]
    assert found == {"mean": None, "sd": None, "values": [0.5, None, 0.5]}


def test_only_metrics_are_averaged():
    assert set(summary()["heads"]["high"]) == {"macro_auc", "cpsc_f1"}


def test_one_run_has_no_deviation():
    with pytest.raises(ValueError, match="two seeds or more, found 1"):
        seed_summary.summarise(RUNS[:1], [observed(0.9)])


def test_files_hold_every_value_with_its_seed(tmp_path):
    seed_summary.write(tmp_path, summary())
    assert json.loads((tmp_path / "seeds.json").read_text()) == summary()
    with (tmp_path / "seeds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2
    assert (rows[0]["head"], rows[0]["metric"]) == ("high", "macro_auc")
    assert [rows[0][f"seed_{seed}"] for seed in (1, 2, 3)] == ["0.8", "0.9", "1.0"]
    assert (rows[1]["mean"], rows[1]["seed_2"]) == ("", "")


def test_the_table_fits_80_columns_and_lists_the_runs():
    console = rich.console.Console(file=io.StringIO(), width=80)
    seed_summary.print_table(summary(), console)
    text = console.file.getvalue()
    line = next(line for line in text.splitlines() if "macro AUC" in line)
    assert line.split()[2:] == ["0.900", "±", "0.100"] * 3
    assert "seed 2: epoch 12 of runs/[s2]" in text
    assert "PTB-XL, version 1.0.3, label set form: 882 test records" in text
    assert max(map(len, text.splitlines())) <= 80
