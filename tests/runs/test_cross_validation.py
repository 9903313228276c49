import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
import rich.console
from sklearn import metrics as sklearn_metrics

from mrm_jax import cross_validate
from mrm_jax.data import shards, splits
from mrm_jax.reports import cross_validation as files
from mrm_jax.reports import run_report
from mrm_jax.runs import cross_validation, evaluation, experiment, trained_run
from mrm_jax.runs import scores as scores_lib
from mrm_jax.training import run_spec
from tests.helpers import small_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]


def config(shards_dir):
    return small_runs.config(shards_dir, num_epochs=1)


@pytest.fixture(scope="module")
def workdir(shards_dir, tmp_path_factory):
    """A finished cross-validation, of which fold 3 was trained before the others."""
    workdir = tmp_path_factory.mktemp("runs") / "all"
    assert cross_validation.cross_validate(config(shards_dir), workdir, [3]) is None
    cross_validation.cross_validate(config(shards_dir), workdir)
    return workdir


@pytest.fixture(scope="module")
def result(workdir):
    return json.loads((workdir / "cross_validation.json").read_text())


def test_every_record_is_tested_once(workdir, shards_dir):
    pooled = run_report.read_scores(workdir)
    assert sorted(pooled.names) == sorted(shards.load(shards_dir).names)


def test_pooled_metrics_are_those_of_all_records(workdir, result):
    pooled = run_report.read_scores(workdir)
    expected = sklearn_metrics.roc_auc_score(pooled.labels, pooled.mean)
    found = result["pooled"]["test"]["mean"]["macro_auc"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    low, high = result["pooled"]["intervals"]["heads"]["mean"]["macro_auc"]
    assert low < found < high


def test_metrics_of_each_fold_are_those_of_its_report(workdir, result):
    values = [
        run_report.read(cross_validation.folder_of(workdir, fold))["test"]["mean"]
        for fold in splits.FOLDS
    ]
    found = result["folds"]["heads"]["mean"]["macro_auc"]
    assert found["values"] == [of_fold["macro_auc"] for of_fold in values]
    np.testing.assert_allclose(found["mean"], np.mean(found["values"]), rtol=1e-12)


def test_the_head_that_selected_the_epochs_is_printed(result):
    assert result["facts"]["selection"] == "val/macro_auc_mean"
    console = rich.console.Console(file=io.StringIO(), width=200)
    facts = result["facts"] | {"selection": "val/macro_auc_high"}
    files.print_table(result | {"facts": facts}, console)
    value = result["folds"]["heads"]["high"]["macro_auc"]["values"][0]
    assert f"test fold 1: macro AUC {value:.3f}" in console.file.getvalue()


def test_the_table_has_a_row_per_head_and_metric(workdir, result):
    with (workdir / "cross_validation.csv").open() as file:
        rows = {(row["head"], row["metric"]): row for row in csv.DictReader(file)}
    row = rows["mean", "macro_auc"]
    found = result["folds"]["heads"]["mean"]["macro_auc"]
    assert float(row["fold_7"]) == found["values"][6]
    assert float(row["pooled"]) == result["pooled"]["test"]["mean"]["macro_auc"]
    assert {head for head, _ in rows} == {"high", "low", "mean"}


def test_the_last_run_has_the_usual_folds(workdir, shards_dir, tmp_path):
    usual = experiment.train_and_evaluate(config(shards_dir), tmp_path)
    last = run_report.read(cross_validation.folder_of(workdir, 10))
    assert last["test"] == usual["test"] and last["val"] == usual["val"]
    assert last["facts"]["mean_uv"] == usual["facts"]["mean_uv"]


def test_a_run_is_normalised_by_its_own_training_records(workdir, shards_dir):
    run = trained_run.read(cross_validation.folder_of(workdir, 3))
    data = shards.load(shards_dir)
    rows = np.flatnonzero(~np.isin(data.folds, (2, 3)))
    signals = data.signals_uv(rows).astype(float)
    found = (run.data["mean_uv"], run.data["std_uv"])
    np.testing.assert_allclose(found, (signals.mean(), signals.std()), rtol=1e-9)
    assert run.data["records"] == {"train": len(rows), "val": 4, "test": 4}


def test_a_run_finds_its_own_folds_in_shards_that_moved(workdir, shards_dir):
    run = trained_run.read(cross_validation.folder_of(workdir, 3))
    found = scores_lib.open_data(run, shards.load(shards_dir))
    assert found.external is None
    assert found.spec.data.manifest.split_folds["test"] == (3,)


def test_other_data_keep_their_own_folds(workdir, tmp_path):
    run = trained_run.read(cross_validation.folder_of(workdir, 3))
    other = small_runs.write_shards(tmp_path / "other", seed=1)
    found = scores_lib.open_data(run, shards.load(other))
    assert found.external is not None
    assert found.spec.data.manifest.split_folds["test"] == (10,)


def test_a_run_can_be_evaluated_again(workdir):
    folder = cross_validation.folder_of(workdir, 3)
    before = run_report.read(folder)["test"]
    assert evaluation.evaluate_run(folder)["test"] == before


def test_the_model_card_names_the_folds(workdir):
    card = cross_validation.folder_of(workdir, 3) / "MODEL_CARD.md"
    assert "1 and 4–10 train, 2 val, 3 test" in card.read_text()


def test_the_command_finishes_what_is_missing(
    workdir, shards_dir, tmp_path, monkeypatch, capsys
):
    """The command with the runs in place only pools them again."""
    monkeypatch.setattr(cross_validate.train, "parse", lambda words: (given, "unused"))
    given = config(shards_dir)
    before = (workdir / "cross_validation.json").read_bytes()
    assert cross_validate.main(["--config=x", "--workdir", str(workdir)]) == 0
    assert (workdir / "cross_validation.json").read_bytes() == before
    printed = capsys.readouterr().out
    assert "test fold 10: macro AUC" in printed and "mean, pooled" in printed


def test_runs_are_pooled_with_shards_that_moved(workdir, shards_dir, tmp_path):
    moved = shutil.copytree(shards_dir, tmp_path / "moved")
    before = json.loads((workdir / "cross_validation.json").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_spec, "_load_own_shards", no_shards)
        found = cross_validation.cross_validate(config(moved), workdir)
    assert found["pooled"] == before["pooled"]


def no_shards(_):
    raise ValueError("the shards of this run are not there")


def test_runs_are_not_pooled_with_other_shards(workdir, tmp_path):
    other = small_runs.write_shards(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="fold01 was trained on other shards"):
        cross_validation.pool(workdir, shards.load(other))


def test_runs_of_other_settings_are_not_pooled(workdir, shards_dir, tmp_path):
    for fold in splits.FOLDS[:-1]:
        folder = cross_validation.folder_of(tmp_path, fold)
        folder.symlink_to(cross_validation.folder_of(workdir, fold))
    other = config(shards_dir)
    other.hparams.learning_rate = 0.1
    with pytest.raises(
        ValueError, match=r"(?s)differ in their folds only.*learning_rate"
    ):
        cross_validation.cross_validate(other, tmp_path, [10])


def test_an_empty_fold_is_found_before_training(tmp_path):
    folder = small_runs.write_shards(tmp_path / "shards")
    labels = np.load(folder / "labels-waves.npy")
    labels[np.load(folder / "folds.npy") == 4] = 0
    np.save(folder / "labels-waves.npy", labels)
    small_runs.accept_changes(folder)
    with pytest.raises(ValueError, match="no record of fold 4 has a label of waves"):
        cross_validation.cross_validate(config(folder), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_folds_are_not_chosen_twice(shards_dir, tmp_path):
    chosen = config(shards_dir)
    chosen.data.folds.test = (3,)
    with pytest.raises(ValueError, match="data.folds.test: a cross-validation tests"):
        cross_validation.cross_validate(chosen, tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--test_folds", "0"], "--test_folds: expected different numbers from 1 to"),
        (["--test_folds=1,1"], "--test_folds: expected different .* got '1,1'"),
        (["--test_folds"], "--test_folds: expected a value"),
        (["--config=demo", "--distributed"], "--distributed: a cross-validation"),
        (["--config=demo", "--peer_timeout=9"], "--peer_timeout=9: a cross-validation"),
        ([], "--config is required"),
    ],
)
def test_wrong_flags_are_named(words, message, capsys):
    words = words or ["--workdir=x"]
    assert cross_validate.main(words) == 2
    assert re.search(message, capsys.readouterr().err)


def test_help_lists_the_values_of_the_experiment(capsys):
    assert cross_validate.main(["--config=demo", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--test_folds" in printed and "--config.model.width=8" in printed


def test_help_may_follow_other_flags(capsys):
    assert cross_validate.main(["--config=demo", "--test_folds=1", "--help"]) == 0
    assert "--config.model.width=8" in capsys.readouterr().out


@pytest.mark.parametrize("dashes", ["-", "--"])
def test_the_stored_command_trains_one_run(monkeypatch, dashes):
    given = {}

    def keep(config, workdir, folds, command_of, *_):
        given.update(workdir=workdir, folds=folds, command=command_of(1))

    monkeypatch.setattr(cross_validation, "cross_validate", keep)
    words = ["--config", "demo", f"{dashes}workdir", "runs/cv"]
    words.append(f"{dashes}test_folds=2, 1")
    assert cross_validate.main([*words, "--config.seed=3"]) == 0
    assert str(given["workdir"]) == "runs/cv" and given["folds"] == (2, 1)
    assert given["command"] == (
        "python -m mrm_jax.train --config demo --config.seed=3 "
        "--config.data.folds.val=10 --config.data.folds.test=1 --workdir=runs/cv/fold01"
    )
