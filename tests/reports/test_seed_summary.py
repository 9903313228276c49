import csv
import io
import json
import math

import rich.console

from mrm_jax.metrics import names, seeds
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
    return {"facts": FACTS, **seeds.summarise(RUNS, values)}


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


def test_no_row_wraps_at_80_columns():
    values = dict.fromkeys(names.SPLIT, 0.5)
    heads = dict.fromkeys(("high", "low", "mean"), values)
    console = rich.console.Console(file=io.StringIO(), width=80)
    given = {"facts": FACTS, **seeds.summarise(RUNS[:2], [heads, heads])}
    seed_summary.print_table(given, console)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    for title in names.compared(names.SPLIT).values():
        (line,) = (line for line in lines if line.startswith(f"{title} "))
        assert line.split()[-9:] == ["0.500", "±", "0.000"] * 3, title
