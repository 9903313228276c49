"""Tests of whole runs of a user's own network, which has one branch."""

import json

import numpy as np
import pytest

import mrm_jax
from mrm_jax import convert, export
from mrm_jax.data import shards
from mrm_jax.inference import attribution
from mrm_jax.interop import exporter
from mrm_jax.reports import html, model_card, run_report
from mrm_jax.runs import evaluation, experiment, trained_run
from mrm_jax.training import metrics_log, run_spec
from tests.helpers import own_network, small_runs, tiny_network

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("same_pictures")]

NAME = f"{own_network.__file__}:OwnNetwork"


def configuration(shards_dir, **options):
    config = small_runs.config(shards_dir)
    config.model.name = NAME
    with config.unlocked():
        config.model.options.update(options)
    return config


@pytest.fixture(scope="module")
def workdir(shards_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "own"
    experiment.train_and_evaluate(
        configuration(shards_dir, channels=6, taps=(3, 5)), workdir
    )
    return workdir


def test_it_has_the_mean_head_only(workdir):
    report = run_report.read(workdir)
    assert list(report["test"]) == list(report["val"]) == ["mean"]
    assert set(run_report.read_scores(workdir).heads) == {"mean"}
    lines = metrics_log.read(workdir)
    for line in lines:
        assert line["train/loss"] == line["train/bce"] > 0
        assert "val/bce" in line and "val/macro_auc_mean" in line
        assert not [name for name in line if "high" in name or "low" in name]


def test_its_options_are_those_of_its_class(workdir, shards_dir):
    model = trained_run.read(workdir).model
    assert (model.channels, model.taps) == (6, (3, 5))
    with pytest.raises(ValueError, match="has no width; it has channels, taps"):
        run_spec.build_run_spec(configuration(shards_dir, width=3))


def test_its_page_and_card_name_it_and_no_branches(workdir):
    page, card = ((workdir / part.FILE).read_text() for part in (html, model_card))
    assert "both branches" not in page and "triangles" not in page
    assert "The network `OwnNetwork` classifies" in card
    assert "MRM-Net" not in card and "Two branches" not in card


def test_evaluating_again_gives_the_same_report(workdir):
    before = run_report.read(workdir)
    assert evaluation.evaluate_run(workdir) == before


def test_it_predicts_and_explains_its_scores(workdir, shards_dir):
    model, scores = mrm_jax.load(workdir), run_report.read_scores(workdir)
    data = shards.load(shards_dir)
    row = data.names.tolist().index(scores.names[0])
    signal_mv = data.signals_uv(np.array([row]))[0] / 1000
    found = model.predict(signal_mv, sampling_rate=100)
    np.testing.assert_allclose(list(found.values()), scores.mean[0], atol=1e-6)
    assert list(found.to_dict()["scores"]) == ["mean"]
    explained = model.explain(signal_mv, sampling_rate=100, label="fast")
    assert explained.gates == {}
    assert abs(explained.attribution.gap) < 0.1 * abs(explained.change) + 1e-3
    with pytest.raises(ValueError, match="head: expected one of mean, got 'high'"):
        mrm_jax.load(workdir, head="high")


def test_another_head_than_its_own_cannot_be_explained(workdir):
    run = trained_run.read(workdir)
    signal = np.zeros((small_runs.NUM_SAMPLES, 12), np.float32)
    with pytest.raises(ValueError, match=r"head: expected one of \('mean',\)"):
        attribution.integrated_gradients(
            run.model, run.variables, signal, signal, attribution.Target(0, "low")
        )


def mixed(config, *sizes):
    """Returns the network of a run of either kind."""
    own = config.model.name == NAME
    return (_network if own else tiny_network.build)(config, *sizes)


_network = run_spec.network


def test_it_is_compared_with_mrm_net_by_the_mean(
    workdir, shards_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_spec, "network", mixed)
    other = tmp_path / "other"
    experiment.train_and_evaluate(small_runs.config(shards_dir), other)
    for runs in ([workdir, other], [other, workdir]):
        found = evaluation.compare_runs(runs)
        assert list(found["others"][0]["heads"]) == ["mean"]


def exported(workdir, folder, kind):
    path = folder / f"own{exporter.FORMATS[kind].SUFFIX}"
    flags = ["--run", str(workdir), "--format", kind, "--out", str(path)]
    assert export.main(flags) == 0
    return path


@pytest.mark.parametrize("kind", ["npz", "stablehlo"])
def test_it_is_exported(workdir, tmp_path, kind):
    path = exported(workdir, tmp_path, kind)
    metadata, _ = exporter.FORMATS[kind].load(path)
    assert metadata["model"]["name"] == NAME
    assert list(metadata["thresholds"]) == ["mean"]


def test_an_export_takes_the_place_of_its_folder(workdir, tmp_path):
    path = exported(workdir, tmp_path, "npz")
    scores = run_report.read_scores(workdir)
    evaluation.evaluate_run(path, evaluation.EvaluationConfig(out=tmp_path / "again"))
    found = run_report.read_scores(tmp_path / "again")
    np.testing.assert_allclose(found.mean, scores.mean, atol=1e-6)


def test_it_has_no_form_for_pytorch(workdir, tmp_path, capsys):
    out = tmp_path / "own.pth"
    assert convert.main(["--run", str(workdir), "--to_torch", str(out)]) == 2
    assert "only MRM-Net has a form for PyTorch" in capsys.readouterr().err
    assert not out.exists()


def test_a_strangers_run_cannot_choose_the_code_that_is_run(workdir):
    with pytest.raises(ValueError, match="which is no part of mrm_jax"):
        trained_run.read(workdir, own_code=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "expected one of mrm_net.*FILE.py:CLASS"),
        ("absent.py:Net", "absent.py does not exist"),
        ("json:loads", "json has no linen module 'loads'"),
        ("no_such_package:Net", "cannot import no_such_package"),
        (NAME.replace("OwnNetwork", "Other"), "has no linen module 'Other'"),
    ],
)
def test_a_network_that_is_not_there_raises(shards_dir, name, message):
    config = small_runs.config(shards_dir)
    config.model.name = name
    with pytest.raises(ValueError, match=f"model.name: .*{message}"):
        run_spec.build_run_spec(config)


def test_the_selection_head_has_to_be_its_own(shards_dir):
    config = configuration(shards_dir)
    config.selection_head = "low"
    with pytest.raises(ValueError, match=r"expected one of \('mean',\), got 'low'"):
        run_spec.build_run_spec(config)


def test_it_resumes_with_other_values_that_it_does_not_read(shards_dir, tmp_path):
    """Earlier versions accepted flags for them, which are now to be left out."""
    config = configuration(shards_dir)
    config.num_epochs = 1
    experiment.train_and_evaluate(config, tmp_path)
    config.model.width, config.hparams.temperature = 16, 2.0
    config.num_epochs = 2
    experiment.train_and_evaluate(config, tmp_path)
    assert [line["epoch"] for line in metrics_log.read(tmp_path)] == [1, 2]
    config.hparams.learning_rate = 2e-3
    with pytest.raises(ValueError, match="learning_rate: 0.001 there") as raised:
        experiment.train_and_evaluate(config, tmp_path)
    assert "width" not in str(raised.value)


def test_a_configuration_is_json(workdir):
    config = trained_run.read(workdir).metadata["config"]
    assert json.loads(json.dumps(config))["model"]["options"]["taps"] == [3, 5]
