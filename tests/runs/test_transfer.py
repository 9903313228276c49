import dataclasses
import json

import flax.traverse_util
import jax
import numpy as np
import pytest

from mrm_jax import train
from mrm_jax.data import shards
from mrm_jax.interop import conversion
from mrm_jax.runs import evaluation, experiment, trained_run, transfer
from mrm_jax.training import hparams, inherited, run_spec, train_state
from tests.helpers import small_runs, small_states

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_network")]

_network = run_spec.network
NAMES = ("calm", "fast", "wild")  # "fast" is also a label of the source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards "own" and "other", with other labels, and a run "source" on "own"."""
    folder = tmp_path_factory.mktemp("transfer")
    small_runs.write_shards(folder / "own", 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_runs, "LABELS", NAMES)
        small_runs.write_shards(folder / "other", 12, seed=7)
    config = small_runs.config(folder / "own")
    known = run_spec.build_run_spec(config, "train").metadata
    state = small_states.create(small_states.TINY, 5)
    conversion.write_run(folder / "source", state, known, epoch=1)
    return folder


def configured(folder, data="other", **init):
    config = small_runs.config(folder / data)
    config.init.update({"run": str(folder / "source"), **init})
    return config


def prepared(folder, data="other", **init):
    return transfer.prepare(run_spec.build_run_spec(configured(folder, data, **init)))


def flat(variables):
    return flax.traverse_util.flatten_dict(jax.device_get(dict(variables)))


def test_all_weights_but_those_of_other_labels_are_taken_over(folder):
    spec = prepared(folder)
    theirs = flat(trained_run.read(folder / "source").variables)
    own = flat(spec.initial)
    assert own.keys() == theirs.keys()
    for path, value in own.items():
        if path[1] in ("high_logits", "low_logits"):
            np.testing.assert_array_equal(value[..., 1], theirs[path][..., 1])
            if path[-1] == "kernel":
                assert not np.isclose(value[..., 0], theirs[path][..., 0]).any()
        else:
            np.testing.assert_array_equal(value, theirs[path])
    described = spec.metadata["init"]
    assert described["labels_taken"] == ["fast"]
    assert described["labels_new"] == ["calm", "wild"]
    assert {path[0] for path in spec.inherited.new} == {"high_logits", "low_logits"}


def test_with_the_same_labels_nothing_is_new(folder):
    spec = prepared(folder, "own")
    theirs = flat(trained_run.read(folder / "source").variables)
    for path, value in flat(spec.initial).items():
        np.testing.assert_array_equal(value, theirs[path])
    assert spec.inherited.new == frozenset()


def test_statistics_are_those_of_the_data_or_of_the_run(folder):
    own, other = (
        shards.load(folder / name).label_set("waves") for name in ("own", "other")
    )
    assert prepared(folder).described_labels.mean_uv == other.mean_uv
    spec = prepared(folder, statistics="run")
    assert spec.described_labels.mean_uv == own.mean_uv
    assert spec.metadata["data"]["std_uv"] == own.std_uv
    with pytest.raises(ValueError, match="init.statistics: expected one of .* 'both'"):
        prepared(folder, statistics="both")


def test_updates_of_old_weights_are_scaled_or_dropped():
    updates = {
        "stem": {"conv1": {"kernel": np.ones(2)}},
        "high": {"extractor_0": {"kernel": np.ones(2)}},
        "head": {"kernel": np.ones(2)},
    }
    known = inherited.Inherited(frozenset({("head", "kernel")}), ("extractor",))
    found = inherited.scale_updates(
        updates, known, hparams.HParams(inherited_rate=0.25)
    )
    assert found["stem"]["conv1"]["kernel"].tolist() == [0.25, 0.25]
    assert found["high"]["extractor_0"]["kernel"].tolist() == [0, 0]
    assert found["head"]["kernel"].tolist() == [1, 1]


def test_unknown_modules_are_named(folder):
    with pytest.raises(ValueError, match="init.freeze: the network has no module 'st'"):
        prepared(folder, freeze=("st",))


def test_options_without_a_run_are_refused(folder):
    config = small_runs.config(folder / "other")
    config.init.freeze = ("stem",)
    with pytest.raises(ValueError, match="no effect without the weights of another"):
        transfer.prepare(run_spec.build_run_spec(config))
    config = small_runs.config(folder / "other")
    config.hparams.inherited_rate = 0.1
    with pytest.raises(ValueError, match="no effect without the weights of another"):
        transfer.prepare(run_spec.build_run_spec(config))


def test_another_network_or_input_is_refused(folder):
    spec = run_spec.build_run_spec(configured(folder))
    source = transfer.read(str(folder / "source"))
    slow = dataclasses.replace(source, data=source.data | {"sampling_rate": 500})
    with pytest.raises(ValueError, match="trained with sampling_rate 500, but .* 100"):
        transfer.prepare(spec, slow)
    params = dict(source.variables["params"])
    name = sorted(params)[0]
    del params[name]
    variables = {**source.variables, "params": params}
    with pytest.raises(ValueError, match=f"another one; .*params/{name}"):
        transfer.prepare(spec, dataclasses.replace(source, variables=variables))


def test_parameters_that_belong_to_a_length_are_refused_at_another(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_spec, "network", _network)
    options = {"width": 4, "num_layers": 1, "state_size": 2}

    def described(crop_samples, **init):
        """Returns the specification of an S4."""
        config = small_runs.config(folder / "own")
        config.init.update(init)
        config.model.name = "s4"
        with config.unlocked():
            config.model.options = options | {"crop_samples": crop_samples}
        return run_spec.build_run_spec(config, "train")

    source = described(20)
    state = train_state.create(jax.random.PRNGKey(0), source.model)
    conversion.write_run(tmp_path / "s4", state, source.metadata, epoch=1)
    run = str(tmp_path / "s4")
    with pytest.raises(
        ValueError, match=r"to 20 time points, .* sees 40,.*crop_samples = 20"
    ):
        transfer.prepare(described(0, run=run))
    assert transfer.prepare(described(20, run=run)).initial is not None


def test_a_run_starts_from_another_and_can_be_evaluated(folder, tmp_path, capsys):
    workdir = tmp_path / "run"
    config = configured(folder, freeze=("high_conv",), statistics="run")
    experiment.train_and_evaluate(config, workdir, "train it")
    assert "starting from" in capsys.readouterr().out
    run = trained_run.read(workdir)
    assert run.metadata["init"]["labels_taken"] == ["fast"]
    theirs = flat(trained_run.read(folder / "source").variables)
    for path, value in flat(run.variables).items():
        kept = np.array_equal(value, theirs[path])
        assert kept == (path[:2] == ("params", "high_conv")), path
    card = (workdir / "MODEL_CARD.md").read_text()
    assert "Its outputs were taken over for fast." in card
    assert "Frozen modules: high" in card
    before = json.loads((workdir / "report.json").read_text())
    evaluation.evaluate_run(workdir)  # standardised as in training
    after = json.loads((workdir / "report.json").read_text())
    assert after["test"]["mean"] == before["test"]["mean"]
    assert after["facts"]["init"] == before["facts"]["init"]


def test_flags_stand_for_values():
    words = ["--config=demo", "--init_from", "runs/a", "--freeze", "stem, extractor"]
    config, _ = train.parse(words)
    assert config.init.run == "runs/a"
    assert config.init.freeze == ("stem", "extractor")
