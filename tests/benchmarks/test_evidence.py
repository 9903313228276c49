import argparse
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from benchmarks import evidence, evidence_tables
from mrm_jax import train
from mrm_jax.reports import run_report
from tests.helpers import own_network, small_runs

ARGS = argparse.Namespace(data="shards/x", workdir=Path("runs/x"), epochs=2)
NETWORK = f"{own_network.__file__}:OwnNetwork"
EXPERIMENT = """
from mrm_jax.experiments import base

def get_config():
    config = base.get_config()
    config.batch_size = 12
    config.model.name = "{network}"
    config.hparams.learning_rate = {rate}
    return config
"""


@pytest.mark.parametrize("row", evidence.ROWS, ids=lambda row: row.name)
def test_the_command_of_every_row_is_valid(row):
    words = evidence.Task(row, row.seeds[-1]).command(ARGS, ["--config.batch_size=8"])
    config, workdir = train.parse(words[3:])
    assert workdir == Path(f"runs/x/{row.name}/seed{row.seeds[-1]}")
    found = (config.seed, config.num_epochs, config.batch_size, config.data.shards)
    assert found == (row.seeds[-1], 2 * row.times_epochs, 8, "shards/x")
    assert config.data.label_set == row.label_set


def test_rows_have_different_names_and_titles():
    assert len({row.name for row in evidence.ROWS}) == len(evidence.ROWS)
    titles = {(row.title, row.table or row.label_set) for row in evidence.ROWS}
    assert len(titles) == len(evidence.ROWS)


def test_the_page_shows_the_stored_results():
    assert evidence_tables.main(["--check"]) == 0


def test_stored_results_name_no_place_outside_the_project():
    for path in evidence.RESULTS.glob("*/*/report.json"):
        words = run_report.read(path.parent)["facts"]["command"].split()
        values = [word.partition("=")[2] or word for word in words]
        assert not [value for value in values if value.startswith(("/", "~"))], path


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Two rows of small experiments, of which the second has one seed."""
    made = []
    for name, seeds, rate in (("reference", (1, 2), 1e-3), ("other", (2,), 1e-2)):
        file = tmp_path / f"{name}.py"
        file.write_text(EXPERIMENT.format(rate=rate, network=NETWORK))
        made.append(evidence.Row(name, f"The {name}", str(file), seeds, "waves"))
    monkeypatch.setattr(evidence, "ROWS", tuple(made))
    return made


@pytest.mark.slow
def test_the_queue_trains_resumes_and_makes_tables(rows, tmp_path, capsys):
    data = small_runs.write_shards(tmp_path / "shards", records_per_fold=8)
    results = tmp_path / "results"
    flags = ["--data", str(data), "--workdir", str(tmp_path / "runs"), "--epochs", "1"]
    flags += ["--results", str(results), "--jobs", "2"]
    cores = os.sched_getaffinity(0)
    assert evidence.main([*flags, "--minutes", "0.0001"]) == 1
    assert "0 of 3 runs are finished" in capsys.readouterr().out
    assert evidence.main([*flags, "--only", "reference"]) == 0
    assert os.sched_getaffinity(0) == cores
    assert "2 of 2 runs" in capsys.readouterr().out
    assert "not run" in evidence_tables.table(results, "waves")
    assert evidence.main(flags) == 0
    said = capsys.readouterr().out
    assert "reference" not in said and "other/seed2: status 0" in said

    text = evidence_tables.table(results, "waves").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text[2:]]
    scores = [
        run_report.read_scores(results / f"reference/seed{seed}") for seed in (1, 2)
    ]
    averaged = np.mean([of_seed.mean for of_seed in scores], axis=0)
    auc = sklearn_metrics.roc_auc_score(scores[0].labels, averaged)
    assert cells[0][:2] == ["The reference", "2"] and cells[0][-1] == ""
    assert cells[0][5].startswith(f"{auc:.3f} (")
    other = run_report.read(results / "other" / "seed2")["test"]["mean"]["macro_auc"]
    assert cells[1][4] == f"{other:.3f}"
    # An average over two seeds would be better than one seed, so both have seed 2 only.
    of_same_seed = sklearn_metrics.roc_auc_score(scores[1].labels, scores[1].mean)
    assert cells[1][6].startswith(f"{other - of_same_seed:+.3f} (")
