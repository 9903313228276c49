"""Tests of whole runs with every option of the recipe switched on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.reports import run_report
from mrm_jax.runs import experiment, trained_run
from mrm_jax.runtime import preemption
from mrm_jax.training import checkpoints, run_spec
from tests.helpers import preempted, small_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]


def recipe(shards_dir, num_epochs=3):
    """Returns a configuration with every option of the recipe."""
    config = small_runs.config(shards_dir, num_epochs)
    config.average_weights = True
    config.augment = True
    config.hparams.update(
        warmup_fraction=0.2,
        final_rate=0.01,
        clip_norm=1.0,
        positive_weight=2.0,
        negative_focus=1.0,
        mixup=0.3,
        weight_decay=0.01,
    )
    return config


@pytest.fixture(scope="module")
def unbroken(shards_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "unbroken"
    experiment.train_and_evaluate(recipe(shards_dir), workdir)
    return workdir


@pytest.mark.parametrize("call", [2, 5])
def test_a_preempted_run_resumes_to_the_digit(
    shards_dir, unbroken, tmp_path, monkeypatch, call
):
    with monkeypatch.context() as patch:
        preempted.send_before_call(patch, call)
        with (
            preemption.PreemptionHandler() as handler,
            pytest.raises(preemption.Preempted),
        ):
            experiment.train_and_evaluate(recipe(shards_dir), tmp_path, handler=handler)
    experiment.train_and_evaluate(recipe(shards_dir), tmp_path)
    assert small_runs.equal(tmp_path, unbroken)


def test_the_averaged_weights_score_and_the_others_are_trained_on(shards_dir, unbroken):
    run = trained_run.read(unbroken)
    state = run.state
    pairs = zip(
        jax.tree.leaves(run.variables),
        jax.tree.leaves(state.raw_variables),
        strict=True,
    )
    assert all(np.any(average != newest) for average, newest in pairs)
    data, reported = shards.load(shards_dir), run_report.read_scores(unbroken)
    split, label_set = data.split("waves", "test"), data.label_set("waves")
    signal_uv = data.signals_uv(split.rows).astype(np.float32)
    signal = jnp.asarray((signal_uv - label_set.mean_uv) / label_set.std_uv)
    apply = jax.jit(functools.partial(run.model.apply, train=False))
    for variables, expected in ((run.variables, True), (state.raw_variables, False)):
        logits = apply(variables, signal).high_logits
        found = np.allclose(jax.nn.sigmoid(logits), reported.heads["high"], atol=1e-5)
        assert found == expected


def test_options_of_a_run_may_not_change_when_it_resumes(shards_dir, unbroken):
    for name in ("average_weights", "augment"):
        config = recipe(shards_dir)
        config[name] = False
        if name == "augment":
            config.hparams.mixup = 0.0
        with pytest.raises(ValueError, match=f"{name}: True there, False now"):
            experiment.train_and_evaluate(config, unbroken)


def test_a_run_stops_early_and_goes_on_with_more_patience(shards_dir, tmp_path, capsys):
    config = small_runs.config(shards_dir, num_epochs=5)
    config.hparams.learning_rate = 1e-30  # nothing is learned
    config.patience = 1
    report = experiment.train_and_evaluate(config, tmp_path)
    assert report["facts"]["epochs_trained"] == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "stopped early after epoch 2 of 5: val/macro_auc_mean has not risen" in shown
    assert experiment.train_and_evaluate(config, tmp_path) == report
    assert "finished at epoch 2, nothing to do" in capsys.readouterr().out
    config.patience = 2
    report = experiment.train_and_evaluate(config, tmp_path)
    assert report["facts"]["epochs_trained"] == 3


@pytest.mark.parametrize(
    ("name", "option"), [("noise", "augment"), ("average_decay", "average_weights")]
)
def test_a_value_without_its_option_raises(shards_dir, name, option):
    config = small_runs.config(shards_dir)
    config.hparams[name] = 0.2
    with pytest.raises(
        ValueError, match=f"hparams.{name} has no effect unless {option} is True"
    ):
        run_spec.build_run_spec(config)
    config[option] = True
    assert getattr(run_spec.build_run_spec(config).hparams, name) == 0.2


def test_an_initial_rate_without_warmup_raises(shards_dir, tmp_path):
    config = small_runs.config(shards_dir)
    config.hparams.initial_rate = 0.1
    with pytest.raises(
        ValueError, match="hparams.initial_rate has no effect unless warmup_fraction"
    ):
        experiment.train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unaveraged_checkpoint_has_no_new_entry(shards_dir, tmp_path):
    """Earlier versions can read it, as this one reads theirs."""
    config = small_runs.config(shards_dir, num_epochs=1)
    experiment.train_and_evaluate(config, tmp_path)
    metadata = tmp_path / checkpoints.FOLDER / "epoch_1" / "state" / "_METADATA"
    assert "opt_state" in metadata.read_text()
    assert "averages" not in metadata.read_text()
    assert trained_run.read(tmp_path).state.averages is None
