"""Tests of Ctrl-C in every command that takes long: what it says is what is kept."""

import json
import os
import signal

import pytest

from data_prep import synthetic
from mrm_jax import evaluate, predict, sweep, train
from mrm_jax.data import windows
from mrm_jax.training import input_pipeline, metrics_log
from tests import conftest
from tests.helpers import small_predictions, small_runs, small_sweeps

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]
AGAIN = "Run the same command again to"


@pytest.fixture(autouse=True)
def heed_interrupts():
    """Restores Python's handler: a process started in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def in_project_root(monkeypatch):
    monkeypatch.chdir(conftest.ROOT)


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    return small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")


@pytest.fixture
def interrupt(monkeypatch):
    """Interrupts this process before records are fed for a certain time, from 0."""
    records = input_pipeline.SplitLoader.records

    def before(number):
        count = iter(range(1000))

        def counted(*args):
            if next(count) == number:
                os.kill(os.getpid(), signal.SIGINT)
            return records(*args)

        monkeypatch.setattr(input_pipeline.SplitLoader, "records", counted)

    return before


def flags(shards_dir, workdir):
    *others, _ = small_runs.train_flags(shards_dir, workdir)
    return [*others, "--config.num_epochs=2", "--config.model.width=4"]


# An epoch is three calls of training and one of scoring.
@pytest.mark.parametrize(
    "case",
    [
        (2, "No epoch is finished, so nothing is saved yet. {} start over.", ""),
        (
            5,
            "The state after epoch 1 of 2 is saved in {workdir}. {} resume there.",
            "resuming after epoch 1\n",
        ),
        (
            8,
            "All 2 epochs are saved in {workdir}. {} write the report.",
            "resuming after epoch 2\n",
        ),
    ],
    ids=str,
)
def test_a_training_says_which_epoch_is_saved(
    shards_dir, tmp_path, interrupt, capsys, case
):
    workdir, (number, kept, resuming) = tmp_path / "run", case
    interrupt(number)
    assert train.main(flags(shards_dir, workdir)) == 130
    message = kept.format(AGAIN, workdir=workdir)
    assert capsys.readouterr().err.endswith(f"Interrupted. {message}\n")
    interrupt(-1)
    assert train.main(flags(shards_dir, workdir)) == 0
    printed = capsys.readouterr().out
    assert resuming in printed and ("resuming" in printed) == bool(resuming)
    assert [line["epoch"] for line in metrics_log.read(workdir)] == [1, 2]


def test_an_unfinished_epoch_of_an_earlier_start_is_named(
    shards_dir, tmp_path, interrupt, capsys, monkeypatch
):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(signal, "SIGINT", signal.SIGTERM)  # sent by `interrupt`
        interrupt(5)
        assert train.main(flags(shards_dir, workdir)) == 75
    interrupt(1)
    assert train.main(flags(shards_dir, workdir)) == 130
    assert "The state after step 1 of epoch 2 is saved" in capsys.readouterr().err


def test_an_evaluation_leaves_earlier_results(shards_dir, tmp_path, interrupt, capsys):
    workdir = tmp_path / "run"
    assert train.main(flags(shards_dir, workdir)) == 0
    before = (workdir / "report.json").read_bytes()
    interrupt(0)
    assert evaluate.main(["--run", str(workdir)]) == 130
    assert capsys.readouterr().err == (
        "Interrupted. Nothing was written, and earlier results are unchanged. "
        f"{AGAIN} start over.\n"
    )
    assert (workdir / "report.json").read_bytes() == before


def test_a_sweep_keeps_trials_and_epochs(shards_dir, tmp_path, interrupt, capsys):
    space = '"hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True)'
    file = small_sweeps.write(tmp_path, shards_dir, space)
    words = [f"--config={file}", f"--workdir={tmp_path / 'out'}", "--trials=1"]
    words += ["--seeds=0", "--sampler=random", "--pruner=none"]
    interrupt(5)  # in the second epoch of the only trial
    assert sweep.main(words) == 130
    assert capsys.readouterr().err == (
        "Interrupted. Ended trials are kept, and the finished epochs of the others "
        f"are saved. {AGAIN} resume from the last epoch.\n"
    )
    (trial,) = (tmp_path / "out" / "trials").iterdir()
    assert [line["epoch"] for line in metrics_log.read(trial)] == [1]
    interrupt(-1)
    assert sweep.main(words) == 0
    assert [line["epoch"] for line in metrics_log.read(trial)] == [1, 2]


def test_a_prediction_writes_no_table(shards_dir, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    assert train.main(flags(shards_dir, run)) == 0
    record = small_predictions.write_record(tmp_path / "A1")
    cuts = windows.cuts

    def interrupted(*args):
        os.kill(os.getpid(), signal.SIGINT)
        yield from cuts(*args)

    monkeypatch.setattr(windows, "cuts", interrupted)
    words = [f"--run={run}", str(record), f"--out={tmp_path / 'scores.csv'}"]
    assert predict.main([*words, f"--plot={tmp_path / 'plots'}"]) == 130
    assert capsys.readouterr().err == (
        "Interrupted. No table was written. The plots drawn so far are in "
        f"{tmp_path / 'plots'}. {AGAIN} start over.\n"
    )
    assert not (tmp_path / "scores.csv").exists()
    assert predict.main(words) == 130
    assert "plots" not in capsys.readouterr().err


def test_a_preparation_writes_no_shards(tmp_path, monkeypatch, capsys):
    index = synthetic.index

    def interrupted(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return index(*args)

    words = ["--records=20", f"--raw_dir={tmp_path / 'raw'}"]
    words += [f"--out={tmp_path / 'shards'}", "--jobs=1"]
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "index", interrupted)
        assert synthetic.main(words) == 130
    assert capsys.readouterr().err == (
        f"Interrupted. {tmp_path / 'shards'} was not written. {AGAIN} start over.\n"
    )
    assert not (tmp_path / "shards").exists()
    assert synthetic.main(words) == 0
    assert json.loads((tmp_path / "shards" / "manifest.json").read_text())
