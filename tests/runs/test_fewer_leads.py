"""A run on some of the leads knows them everywhere."""

import numpy as np
import pytest

import mrm_jax
from mrm_jax import predict
from mrm_jax.data import derived_shards, leads, shards
from mrm_jax.runs import evaluation, experiment, trained_run
from mrm_jax.training import run_spec
from tests.helpers import small_runs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_network")]

LEADS = ("V2", "II", "AVL")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_runs.write_shards(tmp_path_factory.mktemp("leads") / "shards", 12)


@pytest.fixture(scope="module")
def workdir(tiny_network, folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "three"
    experiment.train_and_evaluate(configured(folder), workdir, "train it")
    return workdir


def configured(folder, names=("V2", "ii", "aVL")):
    config = small_runs.config(folder, num_epochs=1)
    config.data.leads = names
    return config


def test_shards_with_some_leads(folder):
    whole = shards.load(folder)
    some = derived_shards.with_leads(whole, LEADS, "waves")
    rows = np.array([3, 50])
    columns = [7, 1, 4]
    np.testing.assert_array_equal(
        some.signals_uv(rows), whole.signals_uv(rows)[..., columns]
    )
    train = whole.split("waves", "train").rows
    signals = whole.signals_uv(train)[..., columns].astype(float)
    entry = some.label_set("waves")
    np.testing.assert_allclose(
        (entry.mean_uv, entry.std_uv), (signals.mean(), signals.std()), rtol=1e-12
    )
    assert whole.manifest.leads == leads.LEADS


@pytest.mark.parametrize(
    ("names", "found"), [(("I", "X9"), "I, X9"), (("I", "I"), "I, I"), ((), "none")]
)
def test_wrong_leads_are_named(folder, names, found):
    with pytest.raises(ValueError, match=f"lead.*{found}"):
        run_spec.build_run_spec(configured(folder, names))


def test_the_run_knows_its_leads(workdir):
    run = trained_run.read(workdir)
    assert run.data["leads"] == list(LEADS)
    assert run.num_leads == 3
    assert (
        "| leads, in order | V2, II, AVL |" in (workdir / "MODEL_CARD.md").read_text()
    )


def test_it_is_evaluated_on_shards_with_all_leads(folder, workdir):
    before = (workdir / "metrics.csv").read_text()
    evaluation.evaluate_run(workdir, evaluation.EvaluationConfig(data=str(folder)))
    assert (workdir / "metrics.csv").read_text() == before


def test_leads_are_taken_by_name_from_any_record(folder, workdir):
    model = mrm_jax.load(workdir)
    assert model.leads == LEADS
    opened = shards.load(folder)
    test = opened.split("waves", "test")
    signal_mv = opened.signals_uv(test.rows[:1])[0] / 1000
    twelve = leads.LEADS
    whole = model.predict(signal_mv, 100, twelve)
    turned = model.predict(signal_mv[:, ::-1], 100, twelve[::-1])
    assert dict(whole) == dict(turned)
    three = model.predict(signal_mv[:, [7, 1, 4]], 100, LEADS)
    assert dict(three) == dict(whole)
    with np.load(workdir / "scores.npz") as stored:
        np.testing.assert_allclose(list(whole.scores.values()), stored["mean"][0])
    with pytest.raises(
        ValueError, match="missing lead: no V2 .*the network needs V2, II"
    ):
        model.predict(signal_mv[:, :3], 100, ("I", "II", "III"))


def test_a_missing_limb_lead_is_computed(folder, workdir):
    model = mrm_jax.load(workdir)
    rng = np.random.default_rng(0)
    signal_mv = rng.normal(0, 0.3, (40, 3))
    found = model.predict(signal_mv, 100, ("I", "II", "V2"))
    assert found.notes[0] == "aVL computed from I and II"
    own = np.stack(
        [signal_mv[:, 2], signal_mv[:, 1], signal_mv[:, 0] - signal_mv[:, 1] / 2],
        axis=1,
    )
    assert dict(model.predict(own, 100)) == dict(found)


def test_records_are_drawn_and_explained_in_these_leads(folder, workdir, tmp_path):
    opened = shards.load(folder)
    np.save(tmp_path / "r.npy", opened.signals_uv(np.array([9]))[0] / 1000)
    flags = ["--run", str(workdir), str(tmp_path / "r.npy"), "--sampling_rate", "100"]
    flags += ["--plot", str(tmp_path / "plots"), "--explain", "slow"]
    assert predict.main(flags) == 0
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "r.png",
        "r--slow.png",
    }
