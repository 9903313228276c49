import csv
import json
import shutil

import numpy as np
import pytest

from mrm_jax.reports import run_report
from mrm_jax.runs import evaluation, experiment
from mrm_jax.runtime import locks
from mrm_jax.training import checkpoints, metrics_log, run_folder, run_spec
from tests.helpers import small_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]


@pytest.fixture(scope="module")
def finished(shards_dir, tmp_path_factory):
    """A run of four epochs, and what it returned."""
    workdir = tmp_path_factory.mktemp("runs") / "unbroken"
    config = small_runs.config(shards_dir, num_epochs=4)
    return workdir, experiment.train_and_evaluate(config, workdir, "the command")


def history(workdir):
    """The metrics of a run without its speed."""
    return [
        {name: v for name, v in line.items() if name != "train/records_per_second"}
        for line in metrics_log.read(workdir)
    ]


def same_scores(one, other):
    with np.load(one / "scores.npz") as a, np.load(other / "scores.npz") as b:
        assert set(a) == set(b)
        return all(np.array_equal(a[name], b[name]) for name in a)


def test_a_finished_run_has_all_files(finished):
    workdir, report = finished
    for name in ("report.json report.csv report.tex scores.npz curves.png").split():
        assert (workdir / name).stat().st_size > 0
    assert list((workdir / "tensorboard").iterdir())
    assert run_report.read(workdir) == json.loads(json.dumps(report))


def test_the_report_names_its_data(finished):
    facts = finished[1]["facts"]
    assert facts["data_set"] == "waves"
    assert facts["records"] == {"train": 32, "val": 4, "test": 4}
    assert facts["seed"] == 1
    assert facts["command"] == "the command"
    assert facts["config"]["hparams"]["learning_rate"] == 1e-3
    assert "jax" in facts["versions"]


def test_every_epoch_has_its_losses_metrics_and_speed(finished):
    lines = metrics_log.read(finished[0])
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        total = line["train/bce_high"] + line["train/bce_low"]
        total += 0.01 * line["train/feature_kl"] + 0.1 * line["train/logit_kl"]
        assert line["train/loss"] == pytest.approx(total, rel=1e-5)
        assert line["train/records_per_second"] > 0
        assert 0 <= line["val/macro_auc_mean"] <= 1
        for branch in ("high", "low"):  # measured as the training term is
            ratio = line[f"val/bce_{branch}"] / line[f"train/bce_{branch}"]
            assert 0.2 < ratio < 5
    assert lines[-1]["train/loss"] < lines[0]["train/loss"]


def test_checkpoints_of_the_newest_and_best_epoch_are_kept(finished):
    workdir, report = finished
    selection = [line["val/macro_auc_mean"] for line in metrics_log.read(workdir)]
    best = report["facts"]["epoch"]
    assert selection[best - 1] == max(selection)
    with checkpoints.open_manager(workdir) as manager:
        assert set(manager.all_steps()) == {best, 4}


def test_the_best_value_is_known_without_the_metrics(finished, shards_dir, tmp_path):
    best = max(line["val/macro_auc_mean"] for line in metrics_log.read(finished[0]))
    copied = shutil.copytree(finished[0], tmp_path / "run")
    (copied / metrics_log.FILE).unlink()
    spec = run_spec.build_run_spec(small_runs.config(shards_dir, num_epochs=4))
    with run_folder.RunFolder(spec, copied) as folder:
        assert folder.best_value == best


def test_a_checkpoint_is_self_contained(finished):
    with checkpoints.open_manager(finished[0]) as manager:
        data = checkpoints.read_metadata(manager, 4)["data"]
    assert data["labels"] == ["slow", "fast", "loud"]
    assert data["leads"][:3] == ["I", "II", "III"]
    assert (data["sampling_rate"], data["unit"], data["num_samples"]) == (100, "uV", 40)
    assert data["std_uv"] > 0


def test_the_test_fold_is_scored_once_per_record(finished, shards_dir):
    with np.load(finished[0] / "scores.npz") as scores:
        names = scores["names"]
        assert np.array_equal(scores["mean"], (scores["high"] + scores["low"]) / 2)
    assert list(names) == ["R009", "R019", "R029", "R039"]  # fold 10


def test_the_csv_has_a_row_for_each_label(finished):
    with (finished[0] / "report.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == list(small_runs.LABELS)


def test_repeating_the_command_changes_nothing(finished, shards_dir, capsys):
    workdir, report = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.iterdir()}
    config = small_runs.config(shards_dir, num_epochs=4)
    again = experiment.train_and_evaluate(config, workdir, "the command")
    assert again == run_report.read(workdir)
    assert "finished at epoch 4, nothing to do" in capsys.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in workdir.iterdir()}
    assert before == after


def test_a_report_that_is_damaged_is_written_again(finished, shards_dir, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "copy")
    whole = (workdir / "report.json").read_bytes()
    (workdir / "report.json").write_bytes(whole[:100])
    config = small_runs.config(shards_dir, num_epochs=4)
    report = experiment.train_and_evaluate(config, workdir, "the command")
    assert run_report.read(workdir) == json.loads(json.dumps(report))
    assert report["test"] == finished[1]["test"]


def test_a_longer_run_keeps_its_report_until_the_new_one_is_whole(
    finished, shards_dir, tmp_path, monkeypatch
):
    workdir = shutil.copytree(finished[0], tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in workdir.glob("*.*")}

    def full_disk(*_):
        raise OSError("No space left on device")

    config = small_runs.config(shards_dir, num_epochs=5)
    with monkeypatch.context() as patch:
        patch.setattr(run_report, "write", full_disk)
        with pytest.raises(OSError, match="No space"):
            experiment.train_and_evaluate(config, workdir)
    after = {path.name: path.read_bytes() for path in workdir.glob("*.*")}
    assert after.pop("metrics.jsonl") != before.pop("metrics.jsonl")
    assert after == before
    report = experiment.train_and_evaluate(config, workdir)
    assert report["facts"]["epochs_trained"] == 5


def test_a_folder_that_is_written_to_is_refused(finished, shards_dir):
    workdir, _ = finished
    config = small_runs.config(shards_dir, num_epochs=4)
    with locks.writing(workdir):
        with pytest.raises(ValueError, match="another process is writing"):
            experiment.train_and_evaluate(config, workdir)
        with pytest.raises(ValueError, match="another process is writing"):
            evaluation.evaluate_run(workdir)


def test_a_resumed_run_equals_an_uninterrupted_one(finished, shards_dir, tmp_path):
    workdir = tmp_path / "resumed"
    experiment.train_and_evaluate(small_runs.config(shards_dir, num_epochs=2), workdir)
    experiment.train_and_evaluate(small_runs.config(shards_dir, num_epochs=4), workdir)
    assert history(workdir) == history(finished[0])
    assert same_scores(workdir, finished[0])


def test_a_streamed_run_equals_a_resident_one(finished, shards_dir, tmp_path):
    config = small_runs.config(shards_dir, num_epochs=4)
    config.data.resident_gib = 0.0
    experiment.train_and_evaluate(config, tmp_path / "streamed")
    assert history(tmp_path / "streamed") == history(finished[0])
    assert same_scores(tmp_path / "streamed", finished[0])


def test_evaluating_again_gives_the_same_report(finished, tmp_path):
    workdir, report = finished
    copy = shutil.copytree(workdir, tmp_path / "copy")
    assert evaluation.evaluate_run(copy) == report
    assert same_scores(copy, workdir)
    for name in ("report.csv", "report.tex"):
        assert (copy / name).read_bytes() == (workdir / name).read_bytes()


def test_a_changed_configuration_raises_and_is_named(finished, shards_dir):
    config = small_runs.config(shards_dir, num_epochs=4)
    config.hparams.learning_rate = 3e-4
    with pytest.raises(ValueError, match=r"learning_rate: 0\.001 there, 0\.0003 now"):
        experiment.train_and_evaluate(config, finished[0])


def test_a_non_finite_loss_stops_and_overwrites_nothing(shards_dir, tmp_path):
    config = small_runs.config(shards_dir, num_epochs=1)
    config.hparams.learning_rate = 1e38
    with pytest.raises(FloatingPointError, match=r"step \d+: .* bce_high"):
        experiment.train_and_evaluate(config, tmp_path)
    assert metrics_log.read(tmp_path) == []
    assert not run_report.exists(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "batch_size: expected 1 to 131,072, got 0"),
        ("num_epochs", 0, "num_epochs: expected 1 to 1,000,000, got 0"),
        ("selection_head", "best", "selection_head: expected one of"),
    ],
)
def test_values_out_of_range_raise(shards_dir, tmp_path, name, value, message):
    config = small_runs.config(shards_dir)
    config[name] = value
    with pytest.raises(ValueError, match=message):
        experiment.train_and_evaluate(config, tmp_path)


def test_an_unknown_label_set_error_lists_the_valid_ones(shards_dir, tmp_path):
    config = small_runs.config(shards_dir)
    config.data.label_set = "rhythm"
    with pytest.raises(ValueError, match="no label set 'rhythm'. It has waves"):
        experiment.train_and_evaluate(config, tmp_path)


def test_a_batch_of_one_trains(shards_dir, tmp_path):
    config = small_runs.config(shards_dir, num_epochs=1)
    config.batch_size = 1
    report = experiment.train_and_evaluate(config, tmp_path)
    assert np.isfinite(metrics_log.read(tmp_path)[0]["train/loss"])
    assert report["facts"]["epochs_trained"] == 1
