import csv
import functools
import json
import shutil

import jax
import numpy as np
import pytest

from mrm_jax import evaluate
from mrm_jax.data import shards
from mrm_jax.interop import conversion
from mrm_jax.metrics import classification, thresholds
from mrm_jax.reports import run_report, thresholds_file
from mrm_jax.runs import evaluation, trained_run
from mrm_jax.training import checkpoints, run_spec
from tests.helpers import small_runs, small_states

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]

RECORDS_PER_FOLD = 12
HEADS = ("high", "low", "mean")


def write_run(folder, shards_dir, seed=1, **facts):
    """Writes a run with one epoch, whose weights are the initial ones."""
    config = small_runs.config(shards_dir)
    config.seed = seed
    known = run_spec.build_run_spec(config, f"train {seed}").metadata | facts
    conversion.write_run(
        folder, small_states.create(small_states.TINY, seed), known, epoch=seed
    )
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    small_runs.write_shards(folder / "own", RECORDS_PER_FOLD)
    small_runs.write_shards(folder / "other", RECORDS_PER_FOLD, seed=5)
    return folder


@pytest.fixture(scope="module")
def pristine(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        write_run(folder / f"s{seed}", data / "own", seed)
        assert run(folder / f"s{seed}") == 0
    return folder


@pytest.fixture
def runs(pristine, tmp_path):
    """Two evaluated runs with different seeds, which tests may change."""
    return shutil.copytree(pristine, tmp_path / "runs")


def run(*arguments):
    return evaluate.main(["--run", *map(str, arguments)])


def failed(capsys):
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    return error


def reference_scores(shards_dir, split, seed, moments_of):
    """Returns the high branch's scores, computed without the tested code."""
    opened = shards.load(shards_dir)
    told = shards.load(moments_of).label_set("waves")
    rows = opened.split("waves", split).rows
    signal = (opened.signals_uv(rows) - told.mean_uv) / told.std_uv
    return jax.nn.sigmoid(_apply(seed)(signal.astype(np.float32)))


@functools.cache
def _apply(seed):
    state = small_states.create(small_states.TINY, seed)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    options = {"xla_backend_optimization_level": 0}
    call = functools.partial(small_states.TINY.apply, variables, train=False)
    return jax.jit(lambda s: call(s).high_logits, compiler_options=options)


def test_evaluating_the_runs_test_fold_rewrites_its_report(pristine, data):
    report = run_report.read(pristine / "s2")
    facts = report["facts"]
    assert (facts["split"], facts["evaluated_on"], facts["epoch"]) == ("test", None, 2)
    assert facts["command"] == "train 2"
    assert facts["evaluated_by"].startswith("python -m mrm_jax.evaluate --run ")
    assert set(report["test"]) == set(report["val"]) == set(HEADS)
    assert (pristine / "s2" / "report.tex").stat().st_size > 0
    with np.load(pristine / "s2" / "scores.npz") as stored:
        expected = reference_scores(data / "own", "test", 2, data / "own")
        np.testing.assert_allclose(stored["high"], expected, rtol=1e-4)


def test_evaluating_another_split_keeps_the_runs_report(runs, data):
    split = "val"
    before = (runs / "s1" / "report.json").read_bytes()
    assert run(runs / "s1", "--split", split) == 0
    assert (runs / "s1" / "report.json").read_bytes() == before
    folder = runs / "s1" / "evaluations" / split
    report = run_report.read(folder)
    assert report["facts"]["split"] == split
    with np.load(folder / "scores.npz") as stored:
        own = shards.load(data / "own").split("waves", split)
        assert stored["names"].tolist() == own.names.tolist()
        for head in HEADS:
            expected = classification.evaluate(stored[head], stored["labels"])
            assert report[split][head]["macro_auc"] == expected["macro_auc"]


def test_results_are_written_to_out(runs, tmp_path):
    assert run(runs / "s1", "--split", "train", "--out", tmp_path / "a" / "b") == 0
    with np.load(tmp_path / "a" / "b" / "scores.npz") as stored:
        assert len(stored["names"]) == 8 * RECORDS_PER_FOLD
    assert not (runs / "s1" / "evaluations").exists()


def test_out_cannot_overwrite_a_runs_report(runs, capsys):
    before = (runs / "s2" / "report.json").read_bytes()
    for folder in (runs / "s1", runs / "s2"):
        assert run(runs / "s1", "--split", "val", "--out", folder) == 2
        assert "this folder holds a run, whose report would be lost" in failed(capsys)
    assert run(runs / "s1", "--out", runs / "s2") == 2
    assert (runs / "s2" / "report.json").read_bytes() == before


def test_out_cannot_overwrite_a_cross_validation(runs, tmp_path, capsys):
    folder = tmp_path / "folds"
    (folder / "fold03").mkdir(parents=True)
    for others in ([], ["--compare", runs / "s2"], [runs / "s2"]):
        assert run(runs / "s1", *others, "--out", folder) == 2
        assert f"{folder}: this folder holds a cross-valid" in failed(capsys)
    assert [path.name for path in folder.iterdir()] == ["fold03"]


def test_the_runs_shards_may_have_moved(runs, data, tmp_path, capsys):
    moved = shutil.copytree(data / "own", tmp_path / "moved")
    before = run_report.read(runs / "s1")
    assert run(runs / "s1", "--data", moved) == 0
    assert "external data" not in capsys.readouterr().out
    after = run_report.read(runs / "s1")
    assert after["test"] == before["test"]
    assert after["facts"]["evaluated_on"] is None


def test_missing_shards_raise_and_suggest_data(data, tmp_path, capsys):
    gone = shutil.copytree(data / "own", tmp_path / "gone")
    write_run(tmp_path / "run", gone)
    shutil.rmtree(gone)
    assert run(tmp_path / "run") == 2
    assert (
        "gone: the shards of this run are not there. Pass their folder with `--data"
        in failed(capsys)
    )


def test_changed_shards_are_not_taken_for_the_runs_data(data, tmp_path, capsys):
    place = shutil.copytree(data / "own", tmp_path / "place")
    write_run(tmp_path / "run", place)
    shutil.rmtree(place)
    shutil.copytree(data / "other", place)
    assert run(tmp_path / "run") == 2
    assert "no longer the shards" in failed(capsys)
    assert run(tmp_path / "run", "--data", place) == 0  # as other data, when named


def test_other_data_use_the_runs_normalisation_statistics(runs, data, capsys):
    before = (runs / "s1" / "report.json").read_bytes()
    assert run(runs / "s1", "--data", data / "other") == 0
    assert "external data: waves 1" in capsys.readouterr().out
    assert (runs / "s1" / "report.json").read_bytes() == before
    folder = runs / "s1" / "evaluations" / "test-waves-1"
    with np.load(folder / "scores.npz") as stored:
        found = stored["high"]
    expected = reference_scores(data / "other", "test", 1, moments_of=data / "own")
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    theirs = reference_scores(data / "other", "test", 1, moments_of=data / "other")
    assert not np.allclose(found, theirs, rtol=1e-3)  # so the data do differ


def test_a_report_on_other_data_names_both_data_sets(runs, data):
    run(runs / "s1", "--data", data / "other")
    facts = run_report.read(runs / "s1" / "evaluations" / "test-waves-1")["facts"]
    own, other = (shards.load(data / name).manifest for name in ("own", "other"))
    assert facts["mean_uv"] == own.label_sets["waves"].mean_uv
    assert facts["evaluated_on"]["mean_uv"] == other.label_sets["waves"].mean_uv
    assert facts["config"]["data"]["shards"] == str(data / "own")
    assert facts["sha256"] != facts["evaluated_on"]["sha256"]


def test_other_data_are_evaluated_at_the_runs_thresholds(runs, data):
    of_head = thresholds.Thresholds(0.123, (0.1, 0.2, 0.3))
    of_heads = dict.fromkeys(HEADS, of_head)
    epoch = trained_run.read(runs / "s1").epoch
    thresholds_file.write(runs / "s1", small_runs.LABELS, of_heads, epoch)
    run(runs / "s1", "--data", data / "other")
    report = run_report.read(runs / "s1" / "evaluations" / "test-waves-1")
    assert report["test"]["mean"]["val_threshold"] == 0.123
    assert "val" not in report


def test_thresholds_that_were_not_chosen_are_not_called_so(runs, data, capsys):
    run(runs / "s1", "--data", data / "other")
    assert "no threshold was chosen" not in capsys.readouterr().out
    (runs / "s1" / "thresholds.json").unlink()
    run(runs / "s1", "--data", data / "other")
    said = "no threshold was chosen on validation, so all are 0.5, and the temperature"
    assert said in capsys.readouterr().out
    folder = runs / "s1" / "evaluations" / "test-waves-1"
    assert said[1:] in (folder / "report.tex").read_text()
    page = (folder / "report.html").read_text()
    assert said[1:] in page and "best F1 of the label" not in page
    run(runs / "s1")  # chooses them
    assert "no threshold was chosen" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NUM_SAMPLES", 80, "num_samples: 40 expected, 80 found"),
        ("LABELS", ("loud", "fast", "slow"), "waves has them in another order"),
        ("LABELS", ("slow", "fast", "high"), "It has\\n  waves: slow, fast, high"),
    ],
)
def test_incompatible_data_raise(runs, monkeypatch, name, value, message):
    monkeypatch.setattr(small_runs, name, value)
    other = small_runs.write_shards(runs / "unlike")
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate_run(
            runs / "s1", evaluation.EvaluationConfig(data=str(other))
        )


def test_labels_of_the_same_meaning_are_compared(runs, data, tmp_path, capsys):
    other = tmp_path / "other"
    names = ("a", "b", "c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_runs, "LABELS", names)
        small_runs.write_shards(other, RECORDS_PER_FOLD, seed=5)
    table = tmp_path / "map.csv"
    table.write_text("label,data_label\nloud,a\nslow,b\nslow,c\n")
    flags = ("--data", other, "--split", "all", "--out", tmp_path / "out")
    assert run(runs / "s1", *flags, "--map_labels") == 2
    assert "no label means the same as one of" in failed(capsys)
    assert run(runs / "s1", *flags, "--map_labels", table) == 0
    printed = capsys.readouterr().out
    assert "labels of waves with the same meaning: slow = b or c, loud = a" in printed
    assert "labels of the run without one: fast" in printed
    report = run_report.read(tmp_path / "out")
    assert report["facts"]["labels"] == ["slow", "loud"]
    with np.load(tmp_path / "out" / "scores.npz") as stored:
        found, labels = stored["high"], stored["labels"]
    matrix = shards.load(other).label_matrix("waves")
    expected = np.stack([matrix[:, 1:].max(axis=1), matrix[:, 0]], axis=1)
    np.testing.assert_array_equal(labels, expected)
    whole = _all_scores(other, seed=1, moments_of=data / "own")
    np.testing.assert_allclose(found, whole[:, [0, 2]], rtol=1e-4)
    lines = (tmp_path / "out" / "label_map.csv").read_text().splitlines()
    assert lines == ["label,data_label", "slow,b", "slow,c", "loud,a", "fast,"]


def _all_scores(shards_dir, seed, moments_of):
    opened = shards.load(shards_dir)
    told = shards.load(moments_of).label_set("waves")
    every = np.arange(opened.manifest.num_records)
    signal = (opened.signals_uv(every) - told.mean_uv) / told.std_uv
    return jax.nn.sigmoid(_apply(seed)(signal.astype(np.float32)))


def test_mapping_labels_needs_other_data_and_one_run(runs, data, capsys):
    assert run(runs / "s1", "--map_labels") == 2
    assert "`--map_labels` needs the other data" in failed(capsys)
    several = (runs / "s1", runs / "s2", "--data", data / "other", "--map_labels")
    assert run(*several) == 2
    assert "evaluates one run at a time" in failed(capsys)


def test_the_runs_own_data_are_not_mapped(runs, data, tmp_path, capsys):
    table = tmp_path / "map.csv"
    table.write_text("label,data_label\nloud,loud\n")
    flags = ("--map_labels", table, "--split", "all", "--out", tmp_path / "out")
    assert run(runs / "s1", "--data", data / "own", *flags) == 2
    assert "s1 was trained on these shards, which have its labels" in failed(capsys)
    assert run(runs / "s1", "--data", data / "other", *flags) == 0


def test_a_report_on_other_data_of_the_same_name_is_kept(runs, data, tmp_path, capsys):
    third = small_runs.write_shards(tmp_path / "third", RECORDS_PER_FOLD, seed=6)
    report = runs / "s1" / "evaluations" / "test-waves-1" / "report.json"
    assert run(runs / "s1", "--data", data / "other") == 0
    before = report.read_bytes()
    assert run(runs / "s1", "--data", third) == 2
    assert "test-waves-1: this folder holds a report on other" in failed(capsys)
    assert report.read_bytes() == before
    assert run(runs / "s1", "--data", third, "--out", tmp_path / "out") == 0
    assert run(runs / "s1", "--data", data / "other") == 0  # the same data again
    report.write_text("{")
    assert run(runs / "s1", "--data", third) == 0


def test_mapped_labels_have_results_of_their_own(runs, data, tmp_path):
    table = tmp_path / "map.csv"
    table.write_text("label,data_label\nloud,loud\n")
    mapped = ("--map_labels", table)
    flags = (runs / "s1", "--data", data / "other")
    assert run(*flags) == run(*flags, *mapped) == 0
    folder = runs / "s1" / "evaluations"
    assert run_report.read(folder / "test-waves-1")["num_labels"] == 3
    assert run_report.read(folder / "test-waves-1-mapped")["num_labels"] == 1
    assert (folder / "test-waves-1-mapped" / "label_map.csv").is_file()
    for more, is_there in ((mapped, True), ((), False)):
        assert run(*flags, *more, "--out", tmp_path / "out") == 0
        assert (tmp_path / "out" / "label_map.csv").exists() == is_there


def test_all_records_are_scored_of_other_data_only(runs, data, capsys):
    assert run(runs / "s1", "--split", "all") == 2
    assert "was trained on a part of these records" in failed(capsys)
    assert run(runs / "s1", "--split", "all", "--data", data / "other") == 0
    report = run_report.read(runs / "s1" / "evaluations" / "all-waves-1")
    assert report["facts"]["split"] == "all"
    with np.load(runs / "s1" / "evaluations" / "all-waves-1" / "scores.npz") as stored:
        assert len(stored["high"]) == 10 * RECORDS_PER_FOLD


def test_labels_with_one_class_are_listed_and_excluded(runs, data, tmp_path, capsys):
    rare = shutil.copytree(data / "other", tmp_path / "rare")
    matrix = np.load(rare / "labels-waves.npy")
    matrix[np.load(rare / "folds.npy") == 10, 1] = 0
    matrix[:, 0] |= ~matrix.any(axis=1)
    np.save(rare / "labels-waves.npy", matrix)
    small_runs.accept_changes(rare)
    assert run(runs / "s1", "--data", rare) == 0
    shown = capsys.readouterr().out
    assert "omitted from macro means: 1 of 3 labels" in shown
    assert "test records have them: fast" in shown


def test_an_empty_split_raises(runs, data, tmp_path, capsys):
    empty = shutil.copytree(data / "other", tmp_path / "empty")
    folds = np.load(empty / "folds.npy")
    np.save(empty / "folds.npy", np.where(folds == 10, 9, folds).astype(np.int8))
    small_runs.accept_changes(empty)
    assert run(runs / "s1", "--data", empty) == 2
    assert "no test record has a label of waves" in failed(capsys)


def test_imported_weights_adopt_the_first_data_set(data, tmp_path, capsys):
    facts = run_spec.build_run_spec(small_runs.config(data / "own")).metadata
    unknown = dict.fromkeys(facts["data"]) | {"labels": list(small_runs.LABELS)}
    of_data = facts["config"]["data"] | {"shards": None, "label_set": None}
    config = facts["config"] | {"data": of_data}
    write_run(tmp_path / "run", data / "own", data=unknown, config=config)
    assert run(tmp_path / "run") == 2
    assert "imported without its data set. Pass `--data SHARDS`" in failed(capsys)
    assert run(tmp_path / "run", "--data", data / "own") == 0
    facts = run_report.read(tmp_path / "run")["facts"]
    assert (facts["data_set"], facts["evaluated_on"]) == ("waves", None)
    before = (tmp_path / "run" / "report.json").read_bytes()
    assert run(tmp_path / "run", "--data", data / "other") == 0
    assert (tmp_path / "run" / "report.json").read_bytes() == before
    facts = run_report.read(tmp_path / "run" / "evaluations" / "test-waves-1")["facts"]
    assert facts["evaluated_on"]["sha256"] != facts["sha256"]


def test_a_run_older_than_an_option_can_be_evaluated(data, tmp_path):
    facts = run_spec.build_run_spec(small_runs.config(data / "own")).metadata
    old = {n: v for n, v in facts["config"]["model"].items() if n != "compute_dtype"}
    write_run(tmp_path / "old", data / "own", config=facts["config"] | {"model": old})
    assert run(tmp_path / "old") == 0


def test_comparison_reuses_the_scores_of_reports(runs, data, capsys):
    shutil.move(data / "own", data / "hidden")  # nothing is scored anew
    try:
        assert run(runs / "s1", "--compare", runs / "s2") == 0
    finally:
        shutil.move(data / "hidden", data / "own")
    shown = capsys.readouterr().out
    unfolded = "".join(shown.split())
    assert f"A:{runs / 's1'},seed1,epoch1B:{runs / 's2'},seed2,epoch2" in unfolded
    folder = runs / "s1" / "evaluations" / "test-compared-with-s2"
    assert f"results: {folder}" in shown
    result = json.loads((folder / "comparison.json").read_text())
    one, two = (run_report.read(runs / name)["test"] for name in ("s1", "s2"))
    for head, of_head in result["others"][0]["heads"].items():
        found = of_head["macro_auc"]
        assert (found["a"], found["b"]) == tuple(
            of_run[head]["macro_auc"] for of_run in (one, two)
        )
    files = {path.suffix for path in folder.iterdir() if path.name != ".lock"}
    assert files == {".json", ".csv", ".tex"}


def test_comparison_scores_runs_without_a_matching_report(runs, tmp_path):
    (runs / "s2" / "report.json").unlink()
    config = evaluation.EvaluationConfig(resamples=20, out=tmp_path / "anew")
    anew = evaluation.compare_runs([runs / "s1", runs / "s2"], config)
    evaluation.evaluate_run(runs / "s2")
    stored = evaluation.compare_runs([runs / "s1", runs / "s2"], config)
    assert anew["others"][0]["heads"] == stored["others"][0]["heads"]


def test_scores_of_another_epoch_are_not_reused(runs, tmp_path):
    report = run_report.read(runs / "s2")
    report["facts"]["epoch"] = 1
    (runs / "s2" / "report.json").write_text(json.dumps(report))
    with np.load(runs / "s2" / "scores.npz") as stored:
        spoilt = {name: stored[name] for name in stored}
    spoilt["high"] = np.zeros_like(spoilt["high"])
    np.savez(runs / "s2" / "scores.npz", **spoilt)
    config = evaluation.EvaluationConfig(resamples=20, out=tmp_path / "out")
    result = evaluation.compare_runs([runs / "s1", runs / "s2"], config)
    found = result["others"][0]["heads"]["high"]["macro_auc"]["b"]
    assert found == report["test"]["high"]["macro_auc"]


@pytest.mark.parametrize("more", [[], ["--split", "train", "--compare"]])
def test_other_data_are_loaded_once(runs, data, monkeypatch, more):
    opened, load = [], shards.load
    monkeypatch.setattr(shards, "load", lambda at: opened.append(at) or load(at))
    more = [*more, runs / "s2"] if more else []
    small = ["--data", data / "other", "--resamples", "20"]
    assert run(runs / "s1", *more, *small) == 0
    assert opened == [str(data / "other")]


def test_runs_are_compared_on_other_data(runs, data):
    arguments = ["--compare", runs / "s2", "--data", data / "other"]
    assert run(runs / "s1", *arguments, "--resamples", "20") == 0
    folder = runs / "s1" / "evaluations" / "test-waves-1-compared-with-s2"
    result = json.loads((folder / "comparison.json").read_text())
    assert result["intervals"]["resamples"] == 20
    assert not result["facts"]["is_own_data"]


def test_runs_with_different_records_cannot_be_compared(runs, data, tmp_path, capsys):
    write_run(tmp_path / "b", data / "other")
    assert run(runs / "s1", "--compare", tmp_path / "b") == 2
    error = failed(capsys)
    assert "with other labels" in error and "--data" in error


def test_runs_are_summarised_over_seeds(runs, capsys):
    assert run(runs / "s1", runs / "s2") == 0
    folder = runs / "s1" / "evaluations" / "test-seeds-2"
    summary = json.loads((folder / "seeds.json").read_text())
    assert [entry["seed"] for entry in summary["runs"]] == [1, 2]
    assert [entry["epoch"] for entry in summary["runs"]] == [1, 2]
    for head in HEADS:
        values = [
            run_report.read(runs / f"s{seed}")["test"][head]["macro_auc"]
            for seed in (1, 2)
        ]
        found = summary["heads"][head]["macro_auc"]
        assert found["values"] == values
        assert found["sd"] == pytest.approx(np.std(values, ddof=1))
    with (folder / "seeds.csv").open(newline="") as file:
        assert "seed_2" in next(csv.reader(file))
    assert f"results: {folder}" in capsys.readouterr().out


def test_summary_of_runs_that_differ_beyond_the_seed_raises(
    runs, data, tmp_path, capsys
):
    config = small_runs.config(data / "own").to_dict()
    config["hparams"]["learning_rate"] = 0.5
    write_run(tmp_path / "b", data / "own", config=config)
    assert run(runs / "s1", tmp_path / "b") == 2
    error = failed(capsys)
    assert "config.hparams.learning_rate: 0.001 in" in error and "--compare" in error


def test_duplicate_seeds_raise(runs, capsys):
    assert run(runs / "s1", runs / "s2", runs / "s1") == 2
    assert "have the same seed, 1." in failed(capsys)


def test_results_of_another_comparison_are_not_overwritten(runs, tmp_path, capsys):
    other = shutil.copytree(runs / "s2", tmp_path / "s2")
    assert run(runs / "s1", "--compare", runs / "s2") == 0
    assert run(runs / "s1", "--compare", runs / "s2") == 0
    capsys.readouterr()
    assert run(runs / "s1", "--compare", other) == 2
    assert "comparison.json: these are results of other runs" in failed(capsys)


def test_a_comparison_on_other_data_of_the_same_name_is_kept(
    runs, data, tmp_path, capsys
):
    third = small_runs.write_shards(tmp_path / "third", RECORDS_PER_FOLD, seed=6)
    compared = (runs / "s1", "--compare", runs / "s2")
    assert run(*compared, "--data", data / "other") == 0
    assert run(*compared, "--data", third) == 2
    assert "these are results on other records or labels" in failed(capsys)
    assert run(*compared, "--data", data / "other") == 0


def test_comparing_two_groups_of_seeds_raises(runs, capsys):
    assert run(runs / "s1", runs / "s2", "--compare", runs / "s1") == 2
    assert "compares runs with one run, but --run names 2" in failed(capsys)


def test_a_run_without_checkpoints_raises(tmp_path, capsys):
    assert run(tmp_path) == 2
    assert "this folder has no checkpoints" in failed(capsys)
    assert not (tmp_path / checkpoints.FOLDER).exists()


def test_help_explains_every_flag_with_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        evaluate.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--split", "--data", "--compare", "--out", "--resamples", "--seed"):
        assert flag in text
    assert "python -m mrm_jax.evaluate --run runs/A --compare runs/B" in text


@pytest.mark.parametrize("flag", ["--resamples", "--seed"])
def test_a_summary_over_seeds_refuses_flags_of_the_bootstrap(runs, capsys, flag):
    assert run(runs / "s1", runs / "s2", flag, "5") == 2
    assert f"{flag} has no effect: a summary of several runs" in failed(capsys)


@pytest.mark.parametrize(
    "flags", [["--resamples", "0"], ["--seed", "-1"], ["--split", "part"]]
)
def test_a_flag_out_of_range_is_rejected(runs, flags):
    with pytest.raises(SystemExit) as ended:
        run(runs / "s1", *flags)
    assert ended.value.code == 2
