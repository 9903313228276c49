"""Tests of sweeps in this process, on small runs."""

import csv
import dataclasses
import importlib
import json
import re
import shlex
import sys

import matplotlib
import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from experiments import base
from mrm_jax import sweep, train
from mrm_jax.runs import evaluation, trained_run
from mrm_jax.sweeps import report as report_lib
from mrm_jax.sweeps import search, search_space, study, trial_run, trials
from mrm_jax.training import checkpoints, metrics_log
from tests import conftest
from tests.helpers import small_runs, small_sweeps

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    return small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")


@pytest.fixture(scope="module")
def swept(shards_dir, tmp_path_factory):
    """A sweep of six trials in two programs; its options and what it returned."""
    folder = tmp_path_factory.mktemp("sweep")
    file = small_sweeps.write(folder, shards_dir)
    options = small_sweeps.options(file, folder / "out")
    return options, search.run(options, "the command")


def rows(workdir):
    with (workdir / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def without_clock(workdir):
    return [
        {name: v for name, v in row.items() if name != "seconds"}
        for row in rows(workdir)
    ]


def test_the_table_lists_every_trial_best_first(swept):
    options, report = swept
    table = rows(options.workdir)
    assert {row["state"] for row in table} == {"complete"}
    assert sorted(int(row["setting"]) for row in table) == [0, 1, 2, 3, 4, 5]
    assert [row["batch_size"] for row in table].count("12") == 3
    assert len({row["hparams.learning_rate"] for row in table}) == 3  # in each program
    values = [float(row["value"]) for row in table]
    assert values == sorted(values, reverse=True)
    assert report["best"]["value"] == values[0]
    assert report["states"] == {"complete": 6}
    assert json.loads((options.workdir / "sweep.json").read_text()) == report


def test_a_trials_value_is_its_best_validation_metric(swept):
    workdir = swept[0].workdir
    for row in rows(workdir):
        folder = trial_run.folder(workdir, int(row["setting"]))
        history = metrics_log.read(folder)
        assert [line["epoch"] for line in history] == [1, 2]
        best = max(line["val/macro_auc_mean"] for line in history)
        assert float(row["value"]) == pytest.approx(best)


def test_the_best_trial_is_an_ordinary_run(swept):
    options, report = swept
    judged = evaluation.evaluate_run(options.workdir / "best")
    facts = judged["facts"]
    rate = report["best"]["hparams.learning_rate"]
    assert judged["val"]["mean"]["macro_auc"] == pytest.approx(report["best"]["value"])
    assert facts["config"]["hparams"]["learning_rate"] == rate
    assert f"--config.hparams.learning_rate={rate}" in facts["command"]
    assert facts["command"].startswith("python -m mrm_jax.train --config=")


def test_the_printed_commands_work_as_printed(swept, capsys):
    options, report = swept
    search.run(options)  # prints the same once more
    printed = re.findall(r"python -m mrm_jax\.(\w+) (.*)", capsys.readouterr().out)
    assert [name for name, _ in printed] == ["evaluate", "train"]
    for name, words in printed:
        command = importlib.import_module(f"mrm_jax.{name}")
        assert command.main(shlex.split(words)) == 0, capsys.readouterr().err
    again = metrics_log.read(options.workdir / search.AGAIN)
    value = max(line["val/macro_auc_mean"] for line in again)
    assert value == pytest.approx(report["best"]["value"])


def test_a_trials_own_command_continues_it(swept, capsys):
    options, report = swept
    folder = trial_run.folder(options.workdir, report["best"]["setting"])
    command = trained_run.read(folder).metadata["command"]
    assert train.main(shlex.split(command)[3:]) == 0
    assert f"-> {folder}" in capsys.readouterr().out


def test_only_the_best_trial_keeps_its_checkpoints(swept):
    options, report = swept
    kept = [
        folder.name
        for folder in (options.workdir / trial_run.TRIALS_FOLDER).iterdir()
        if (folder / checkpoints.FOLDER).exists()
    ]
    assert kept == [f"{report['best']['setting']:04d}"]


def test_the_best_trial_is_trained_again_with_other_seeds(swept):
    options, report = swept
    seeds = report["seeds"]
    assert len(seeds["values"]) == 2
    assert all(1001 <= int(seed) <= 2000 for seed in seeds["values"])
    first, second = seeds["values"].values()
    assert first != second
    assert seeds["mean"] == pytest.approx((first + second) / 2)
    assert seeds["sd"] == pytest.approx(abs(first - second) / np.sqrt(2))


@pytest.mark.parametrize(
    ("own", "distribution", "first"),
    [
        (1, None, 1001),
        (1500, None, 1501),
        (1, IntDistribution(1, 3000), 3001),
        (2**32 - 1, None, 1001),
        (1500, IntDistribution(2**32 - 500, 2**32 - 1), 1501),
        (1, CategoricalDistribution([1100, 1200, 2**32 - 2]), 1201),
    ],
)
def test_further_seeds_are_those_that_the_search_cannot_use(own, distribution, first):
    config = base.get_config()
    config.seed = own
    varied = {} if distribution is None else {"seed": distribution}
    space = search_space.Space(varied, ({},))
    assert search._unused_seed(config, space) == first


def test_a_space_of_all_seeds_leaves_none():
    space = search_space.Space({"seed": IntDistribution(0, 2**32 - 1)}, ({},))
    with pytest.raises(ValueError, match="seed: the space leaves no 1,000 seeds above"):
        search._unused_seed(base.get_config(), space)


def test_only_other_trials_are_near_the_best():
    rows = [
        trials.Row(number, "complete", value, {}, 0, 1, None, None, {})
        for number, value in enumerate((0.9, 0.89, 0.5))
    ]
    report = {"best": {"setting": 0, "value": 0.9}}
    for sd, expected in ((0.01, "1 other trial is within"), (0.001, "0 other trials")):
        seeds = {"values": {"1001": 0.9, "1002": 0.9}, "mean": 0.9, "sd": sd}
        lines = report_lib.seed_variance(report | {"seeds": seeds}, rows)
        assert lines[1].startswith(expected)


def test_plots_are_drawn(swept):
    for name in ("search.png", "importance.png", "parallel.png"):
        assert (swept[0].workdir / name).read_bytes().startswith(b"\x89PNG")
    # Optuna's style would colour all later figures of the process.
    assert matplotlib.rcParams["axes.labelcolor"] == "black"


def test_repeating_trains_nothing_and_more_trials_resume(swept, capsys):
    options, _ = swept
    before = without_clock(options.workdir)
    search.run(options)
    assert without_clock(options.workdir) == before
    assert "trial 6" not in capsys.readouterr().out
    more = small_sweeps.options(options.config_file, options.workdir, trials=7)
    search.run(more)
    assert "trial 6: complete after 2 epochs" in capsys.readouterr().out
    known = {row["setting"]: row for row in without_clock(options.workdir)}
    assert len(known) == 7
    assert all(known[row["setting"]] == row for row in before)


def test_another_configuration_raises(swept, tmp_path, shards_dir):
    options, _ = swept
    file = small_sweeps.write(tmp_path, shards_dir, num_epochs=3)
    with pytest.raises(ValueError, match="num_epochs"):
        search.run(small_sweeps.options(file, options.workdir))


def test_another_patience_raises(swept):
    options = dataclasses.replace(swept[0], overrides=["--config.patience=1"])
    with pytest.raises(ValueError, match="patience: 0 in the study, 1 here"):
        search.run(options)


def test_weights_of_another_run_are_refused(swept):
    options, _ = swept
    overrides = ["--config.init.run=runs/a"]
    with pytest.raises(ValueError, match="a sweep trains from new weights"):
        search.run(dataclasses.replace(options, overrides=overrides))


def test_a_flag_for_a_value_that_varies_is_refused(swept, tmp_path):
    overrides = ["--config.batch_size=12"]
    options = dataclasses.replace(swept[0], trials=7, overrides=overrides)
    with pytest.raises(ValueError, match="--config.batch_size has no effect, as every"):
        search.run(dataclasses.replace(options, workdir=tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    search.run(options)  # was begun by an earlier version, which accepted it


def test_a_sweep_trains_on_some_of_the_leads(tmp_path, shards_dir):
    file = small_sweeps.write(tmp_path, shards_dir)
    options = small_sweeps.options(file, tmp_path / "out", trials=2)
    overrides = ["--config.data.leads=('I', 'V1')"]
    search.run(dataclasses.replace(options, overrides=overrides))
    assert {row["state"] for row in rows(options.workdir)} == {"complete"}


def test_the_folder_of_another_sweep_raises(swept):
    options, _ = swept
    other = dataclasses.replace(options, study="another")
    with pytest.raises(ValueError, match="holds the sweep 'waves'"):
        search.run(other)


def test_raising_seeds_trains_only_the_new_ones(swept, capsys):
    options = dataclasses.replace(swept[0], trials=7)
    before = search.run(options)
    capsys.readouterr()
    after = search.run(dataclasses.replace(options, seeds=3))
    assert capsys.readouterr().out.count("; seed ") == 1
    assert after["seeds"]["values"].items() > before["seeds"]["values"].items()


def test_the_test_fold_is_never_read(swept, tmp_path):
    """With other test records, every number of the sweep is the same."""
    data = small_runs.write_shards(tmp_path / "shards", spoilt_fold=10)
    file = small_sweeps.write(tmp_path, data)
    search.run(small_sweeps.options(file, tmp_path / "out", trials=2))
    names = ("hparams.learning_rate", "batch_size", "value", "epochs")
    found, known = (
        {tuple(row[name] for name in names) for row in rows(workdir)}
        for workdir in (tmp_path / "out", swept[0].workdir)
    )
    assert len(found) == 2 and found <= known


def test_no_link_to_an_earlier_best_trial_remains(shards_dir, tmp_path, capsys):
    """The best trial may have been trained on another machine meanwhile."""
    file = small_sweeps.write(tmp_path, shards_dir, num_epochs=1)
    options = small_sweeps.options(file, tmp_path / "out", trials=2, seeds=0)
    report = search.run(options)
    link = options.workdir / search.BEST
    assert link.is_symlink()
    best = trial_run.folder(options.workdir, report["best"]["setting"])
    trial_run.drop_checkpoints(best)
    search.run(options)
    assert "The best run is on another machine" in capsys.readouterr().out
    assert not link.is_symlink()


def test_a_diverged_trial_is_listed_and_the_others_continue(shards_dir, tmp_path):
    space = '"hparams.learning_rate": CategoricalDistribution([1e-3, 1e30])'
    file = small_sweeps.write(tmp_path, shards_dir, space)
    options = small_sweeps.options(file, tmp_path / "out", sampler="grid", seeds=0)
    report = search.run(options)
    states = {
        row["hparams.learning_rate"]: row["state"] for row in rows(options.workdir)
    }
    assert states == {"0.001": "complete", "1e+30": "diverged"}
    assert report["best"]["hparams.learning_rate"] == 1e-3


def test_a_grid_of_steps_is_reported(shards_dir, tmp_path):
    space = '"hparams.learning_rate": FloatDistribution(0.1, 0.3, step=0.1)'
    file = small_sweeps.write(tmp_path, shards_dir, space, num_epochs=1)
    options = small_sweeps.options(file, tmp_path / "out", sampler="grid", seeds=0)
    search.run(options)
    rates = sorted(row["hparams.learning_rate"] for row in rows(options.workdir))
    assert rates == ["0.1", "0.2", "0.3"]


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_whose_report_was_lost_is_reported(
    shards_dir, tmp_path, monkeypatch, epoch
):
    file = small_sweeps.write(tmp_path, shards_dir, num_epochs=2)
    options = small_sweeps.options(file, tmp_path / "out", trials=2, slots=1, seeds=0)

    def die(own_study, lease, number, value, report=study.Study.report):
        """Ends the worker between an epoch's checkpoint and its report."""
        if number == epoch:
            raise KeyboardInterrupt
        return report(own_study, lease, number, value)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(study.Study, "report", die)
        search.run(options)
    reported = []

    def note(own_study, lease, number, value, report=study.Study.report):
        """Notes what is reported."""
        reported.append((lease.number, number))
        return report(own_study, lease, number, value)

    monkeypatch.setattr(study.Study, "report", note)
    assert search.run(options)["states"] == {"complete": 2}
    expected = [(0, 1), (0, 2), (1, 1), (1, 2)][epoch - 1 :]
    assert sorted(reported) == expected
    assert [row["epochs"] for row in rows(options.workdir)] == ["2", "2"]


def test_slots_of_pruned_trials_are_reused(tmp_path):
    # As many records as it takes for the trials to differ.
    data = small_runs.write_shards(tmp_path / "shards", records_per_fold=12)
    space = '"hparams.learning_rate": FloatDistribution(1e-6, 1, log=True)'
    file = small_sweeps.write(tmp_path, data, space, num_epochs=4)
    options = small_sweeps.options(
        file, tmp_path / "out", trials=8, pruner="hyperband", seeds=0
    )
    report = search.run(options)
    assert sum(report["states"].values()) == 8
    assert report["states"]["pruned"] > 0 and report["states"]["complete"] > 0
    for row in rows(options.workdir):
        assert (row["state"] == "complete") == (row["epochs"] == "4")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            '"model.width": CategoricalDistribution([4, 6])',
            "model.width 6, which is invalid: width: exp",
        ),
        (
            '"hparams.temperature": FloatDistribution(0, 4)',
            "temperature 0, which is invalid: hparams.te",
        ),
        ('"hparams.rate": FloatDistribution(0, 4)', "hparams.rate"),
        ('"data.shards": CategoricalDistribution(["a", "b"])', "same records"),
        (
            '"hparams.initial_rate": FloatDistribution(0.0, 0.1)',
            "hparams.initial_rate 0.1, which is invalid: hparams.initial_rate has no",
        ),
        (
            '"hparams.inherited_rate": FloatDistribution(0.1, 1)',
            "hparams.inherited_rate cannot vary in a sweep: a sweep trains from new",
        ),
        (
            '"init.freeze": CategoricalDistribution(["", "stem"])',
            "init.freeze cannot vary in a sweep: a sweep trains from new weights",
        ),
        (
            """"model.name": CategoricalDistribution(["mrm_net", "resnet1d_wang"]),
            "hparams.temperature": FloatDistribution(1, 8)""",
            "--config.hparams.temperature has no effect with the network resnet1d_wang",
        ),
    ],
)
def test_an_invalid_space_raises_before_training(
    shards_dir, tmp_path, capsys, space, message
):
    file = small_sweeps.write(tmp_path, shards_dir, space)
    status = sweep.main(["--config", str(file), "--workdir", str(tmp_path / "out")])
    assert status == sweep.WRONG_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("augment", "shift"), ("average_weights", "average_decay")]
)
def test_a_value_that_a_program_does_not_use_may_not_vary(
    shards_dir, tmp_path, capsys, option, value
):
    space = f'''
        "{option}": CategoricalDistribution([True, False]),
        "hparams.{value}": FloatDistribution(0.1, 0.2),
    '''
    change = f"config.{option} = True"
    file = small_sweeps.write(tmp_path, shards_dir, space, change=change)
    status = sweep.main(["--config", str(file), "--workdir", str(tmp_path / "out")])
    assert status == sweep.WRONG_INPUT
    error = capsys.readouterr().err
    assert f"The space contains {option} False, hparams.{value} 0." in error
    assert f"has no effect unless {option} is True" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        "config.init.freeze = ('stem',)",
        "config.init.statistics = 'run'",
        "config.hparams.inherited_rate = 0.1",
    ],
)
def test_values_for_the_weights_of_another_run_are_refused(
    shards_dir, tmp_path, change
):
    file = small_sweeps.write(tmp_path, shards_dir, change=change)
    with pytest.raises(ValueError, match="a sweep trains from new weights"):
        search.run(small_sweeps.options(file, tmp_path / "out"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config.hparams.rate=1"], "no value --config.hparams.rate"),
        (["--trails", "3"], r"unexpected arguments ['--trails', '3']"),
        (["--config", "nowhere.py"], "nowhere.py"),
    ],
)
def test_invalid_flags_are_named(shards_dir, tmp_path, capsys, words, message):
    file = small_sweeps.write(tmp_path, shards_dir)
    assert sweep.main(["--config", str(file), *words]) == sweep.WRONG_INPUT
    assert message in capsys.readouterr().err


def test_without_optuna_the_error_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert sweep.main(["--config=sweeps/demo"]) == sweep.WRONG_INPUT
    error = capsys.readouterr().err
    assert "optuna is not installed. Run: pip install 'optuna>=" in error


def test_help_explains_every_flag(capsys):
    with pytest.raises(SystemExit, match="0"):
        sweep.main(["--help"])
    text = capsys.readouterr().out
    for flag in ("--population", "--storage", "--seeds", "--pruner", "get_space()"):
        assert flag in text


def test_earlier_names_of_flags_are_accepted(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(search, "run", lambda options, *rest: seen.append(options))
    monkeypatch.chdir(tmp_path)
    config = str(conftest.ROOT / "experiments" / "sweeps" / "demo.py")
    pairs = [
        (["--way=unrolled"], ["--batching=loop"]),
        (["--beat_s=5", "--grace_s=9"], ["--heartbeat_s=5", "--timeout_s=9"]),
    ]
    for old, new in pairs:
        assert [sweep.main(["--config", config, *words]) for words in (old, new)] == [
            0,
            0,
        ]
        earlier, current = seen[-2:]
        assert earlier == current
    assert (seen[1].batching, seen[3].heartbeat_s, seen[3].timeout_s) == ("loop", 5, 9)
