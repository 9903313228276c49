import copy

import pytest

from mrm_jax.data import shards
from mrm_jax.training import metadata
from tests.helpers import small_runs

FACTS = {
    "config": {"num_epochs": 3, "hparams": {"learning_rate": 1e-3}, "stages": ["a"]},
    "data": {"labels": ["a", "b"], "sha256": "0f"},
    "versions": {"jax": "1"},
}


def changed(*path, value):
    facts = copy.deepcopy(FACTS)
    place = facts
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return facts


def test_an_unchanged_run_may_resume(tmp_path):
    metadata.check_same_run(FACTS, copy.deepcopy(FACTS), tmp_path)


@pytest.mark.parametrize("path", [("config", "num_epochs"), ("versions", "jax")])
def test_more_epochs_and_other_versions_may_resume(tmp_path, path):
    metadata.check_same_run(FACTS, changed(*path, value=5), tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        ("config", "hparams", "learning_rate"),
        ("config", "stages"),
        ("data", "labels"),
        ("data", "sha256"),
    ],
)
def test_any_other_difference_is_named(tmp_path, path):
    with pytest.raises(ValueError, match=r"\.".join(path)):
        metadata.check_same_run(FACTS, changed(*path, value=["c"]), tmp_path)


def test_a_value_missing_on_one_side_is_named(tmp_path):
    with pytest.raises(ValueError, match="config.new: None there, 1 now"):
        metadata.check_same_run(FACTS, changed("config", "new", value=1), tmp_path)


def scheduled(facts, final_rate):
    facts = copy.deepcopy(facts)
    facts["config"]["hparams"]["final_rate"] = final_rate
    return facts


def test_options_added_later_are_at_their_defaults_in_earlier_runs(tmp_path):
    now = scheduled(FACTS, 1.0)
    metadata.check_same_run(FACTS, now, tmp_path)
    assert metadata.fingerprint(FACTS) == metadata.fingerprint(now)
    other = scheduled(FACTS, 0.1)
    with pytest.raises(ValueError, match=r"hparams\.final_rate: 1\.0 there, 0\.1 now"):
        metadata.check_same_run(FACTS, other, tmp_path)
    assert metadata.fingerprint(FACTS) != metadata.fingerprint(other)


def test_a_schedule_keeps_its_length(tmp_path):
    saved, longer = (
        scheduled(FACTS, 0.1),
        scheduled(changed("config", "num_epochs", value=5), 0.1),
    )
    with pytest.raises(ValueError, match="config.num_epochs: 3 there, 5 now"):
        metadata.check_same_run(saved, longer, tmp_path)


def test_an_unknown_value_matches_anything(tmp_path):
    saved = changed("data", "sha256", value=None)
    metadata.check_same_run(saved, FACTS, tmp_path)
    other = changed("data", "labels", value=["c"])
    with pytest.raises(ValueError, match=r"data\.labels"):
        metadata.check_same_run(saved, other, tmp_path)


def test_an_unknown_group_matches_anything(tmp_path):
    saved = changed("data", "records", value=None)
    now = changed("data", "records", value={"train": 8, "val": 1})
    metadata.check_same_run(saved, now, tmp_path)


def test_other_first_weights_are_named(tmp_path):
    started = {**FACTS, "init": {"run": "runs/a", "epoch": 3, "sha256": "aa"}}
    other = {**FACTS, "init": {"run": "runs/a", "epoch": 9, "sha256": "bb"}}
    named = r"(?s)init\.sha256: 'aa' there, 'bb' now.*Restore its checkpoints"
    with pytest.raises(ValueError, match=named):
        metadata.check_same_run(started, other, tmp_path)
    with pytest.raises(ValueError, match=r"(?s)Advice\. .*init\.epoch: 3 in .*, 9 in"):
        metadata.check_alike([("a", started), ("b", other)], (), "Advice.")
    with pytest.raises(ValueError, match="init.sha256: 'aa' on process 0, 'bb' on"):
        metadata.check_same_everywhere([started, other])


def test_unnamed_first_weights_match_any(tmp_path):
    started = {**FACTS, "init": {"run": "runs/a", "epoch": 3, "sha256": "aa"}}
    metadata.check_alike([("a", started), ("b", FACTS)], (), "Advice.")
    assert metadata.fingerprint(started) == metadata.fingerprint(FACTS)


def test_metadata_without_data_has_the_same_keys(tmp_path):
    data = shards.load(small_runs.write_shards(tmp_path / "shards"))
    unknown = metadata.describe_labels(["a"])
    assert unknown.keys() == metadata.describe_data(data.manifest, "waves").keys()
    assert unknown["labels"] == ["a"] and unknown["std_uv"] is None


def test_tuples_become_lists():
    assert metadata.plain({"stages": ("a", "b")}) == {"stages": ["a", "b"]}


def test_data_are_described_with_units_and_lead_order(tmp_path):
    data = shards.load(small_runs.write_shards(tmp_path / "shards"))
    facts = metadata.describe_data(data.manifest, "waves")
    assert facts["labels"] == ["slow", "fast", "loud"]
    assert facts["descriptions"] == ["slow wave", "fast wave", "loud wave"]
    assert facts["unit"] == "uV"
    assert len(facts["leads"]) == 12
    assert len(facts["sha256"]) == 64
