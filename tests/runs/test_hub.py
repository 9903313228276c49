import json
import os
import shutil
import subprocess
import sys

import huggingface_hub
import pytest

import mrm_jax
from mrm_jax.metrics import thresholds
from mrm_jax.reports import run_report, thresholds_file
from mrm_jax.runs import hub, trained_run
from mrm_jax.training import checkpoints, metadata
from tests.helpers import hub_server, small_predictions, small_runs
from tests.helpers.hub_server import ALICE, BOB, REPO

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]


def test_a_downloaded_run_has_the_same_scores_and_thresholds(pushed, shared_run):
    there = mrm_jax.from_hub(REPO, token=ALICE)
    here = mrm_jax.load(shared_run)
    assert there.run.workdir != shared_run
    assert small_predictions.scores(there) == small_predictions.scores(here)
    assert there.thresholds == here.thresholds
    assert there.thresholds_are == thresholds.OF_LABELS
    assert there.run.epochs_trained == here.run.epochs_trained


def test_head_and_threshold_are_passed_on(pushed):
    model = mrm_jax.from_hub(REPO, token=ALICE, head="low", threshold=0.25)
    assert (model.head, set(model.thresholds.values())) == ("low", {0.25})


def test_the_address_is_returned(server, shared_run):
    address = mrm_jax.push_to_hub(shared_run, REPO, token=ALICE)
    assert address == f"{server.address}/{REPO}"


def test_a_new_repository_is_private_unless_told_otherwise(server, shared_run):
    hub.push(shared_run, REPO, token=ALICE)
    hub.push(shared_run, "alice/public", private=False, token=ALICE)
    assert server.repositories[REPO].private
    assert not server.repositories["alice/public"].private
    assert mrm_jax.from_hub("alice/public", token=BOB).labels == small_runs.LABELS


def test_one_commit_has_the_run_without_its_records_and_logs(pushed, shared_run):
    repository = pushed.repositories[REPO]
    assert repository.messages == [
        "initial commit",
        f"Upload a run of mrm_jax {mrm_jax.__version__}",
    ]
    names = repository.files().keys()
    assert {name for name in names if "/" not in name} == set(
        ".gitattributes README.md curves.png metrics.csv metrics.jsonl report.csv "
        "report.json report.tex thresholds.json".split()
    )
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"checkpoints"}
    for left_out in ("report.html", "scores.npz", "tensorboard", ".lock"):
        assert (shared_run / left_out).exists()


def test_local_paths_are_not_uploaded(pushed, shared_run, shards_dir):
    files = pushed.repositories[REPO].files()
    for name, content in files.items():
        for path in (shared_run, shards_dir):
            assert str(path.parent).encode() not in content, name
    facts = json.loads(files["report.json"])["facts"]
    assert facts["command"] == (
        "python -m mrm_jax.train --config=experiments/x.py --workdir=waves"
    )
    assert facts["config"]["data"]["shards"] == "shards"
    assert "--workdir=waves" in files["README.md"].decode()


def test_the_card_is_one_for_the_hub(pushed):
    card = huggingface_hub.ModelCard(
        pushed.repositories[REPO].files()["README.md"].decode()
    )
    front_matter = card.data
    assert front_matter["library_name"] == "mrm_jax"
    assert front_matter.model_name == "waves"
    assert front_matter.eval_results[0].dataset_name == "waves"
    assert f'mrm_jax.from_hub("{REPO}")' in card.text
    assert "mrm_jax.load" not in card.text


def test_files_of_an_earlier_run_are_deleted_and_others_kept(pushed, shared_run):
    repository = pushed.repositories[REPO]
    first = repository.files()
    more = {"checkpoints/epoch_9/facts/metadata": b"{}", "notes/mine.txt": b"hello"}
    repository.commit("main", first | more, "by hand")
    mrm_jax.push_to_hub(shared_run, REPO, token=ALICE)
    assert repository.files().keys() == first.keys() | {"notes/mine.txt"}
    model = mrm_jax.from_hub(REPO, token=ALICE)
    assert not (model.run.workdir / "notes").exists()


def test_a_branch_is_created_and_downloaded(pushed, shared_run):
    before = pushed.repositories[REPO].files()
    changed = thresholds_file.FILE, b"{}"
    pushed.repositories[REPO].commit("main", before | dict([changed]), "by hand")
    address = hub.push(shared_run, REPO, revision="next", token=ALICE)
    assert address == f"{pushed.address}/{REPO}/tree/next"
    assert hub.push(shared_run, REPO, revision="next", token=ALICE) == address
    model = mrm_jax.from_hub(REPO, revision="next", token=ALICE)
    assert model.thresholds == mrm_jax.load(shared_run).thresholds
    with pytest.raises(ValueError, match="thresholds.json is damaged"):
        mrm_jax.from_hub(REPO, token=ALICE)


def test_a_run_imported_without_its_data_set_gets_that_of_its_report(
    server, shared_run, tmp_path
):
    imported = shutil.copytree(shared_run, tmp_path / "imported")
    unknown = metadata.describe_labels(small_runs.LABELS)
    for checkpoint in (imported / "checkpoints").iterdir():
        checkpoints.change_metadata(checkpoint, lambda saved: saved | {"data": unknown})
    report = (imported / "report.json").rename(tmp_path / "report.json")
    with pytest.raises(ValueError, match="imported without its data set"):
        mrm_jax.load(imported)  # the report is all that names it
    report.rename(imported / "report.json")
    hub.push(imported, REPO, token=ALICE)
    found = mrm_jax.from_hub(REPO, token=ALICE).predict(small_predictions.ecg_mv(), 500)
    assert (
        found.scores
        == mrm_jax.load(shared_run).predict(small_predictions.ecg_mv(), 500).scores
    )


def add_a_worse_epoch(run):
    """Adds epoch 3, after which the best epoch is no longer the newest."""
    trained, report = trained_run.read(run), run_report.read(run)
    with checkpoints.open_existing(run) as manager:
        checkpoints.save(manager, 3, trained.state, trained.metadata, selection=-1.0)
    report["facts"]["epochs_trained"] = 3
    run_report.write_json(run, report)


def test_the_best_and_the_newest_epoch_are_uploaded(server, shared_run, tmp_path):
    run = shutil.copytree(shared_run, tmp_path / "copy")
    add_a_worse_epoch(run)
    mrm_jax.push_to_hub(run, REPO, token=ALICE)
    there = mrm_jax.from_hub(REPO, token=ALICE)
    assert (there.run.epoch, there.run.epochs_trained) == (
        trained_run.read(shared_run).epoch,
        3,
    )
    assert small_predictions.scores(there) == small_predictions.scores(
        mrm_jax.load(shared_run)
    )


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def forget_report(run):
    (run / run_report.JSON_FILE).unlink()


def extend(run):
    report = run_report.read(run)
    report["facts"]["epochs_trained"] -= 1
    run_report.write_json(run, report)


def forget_thresholds(run):
    (run / thresholds_file.FILE).unlink()


def damage_report(run):
    damage(run / run_report.JSON_FILE)


def damage_weights(run, newest=False):
    epoch = trained_run.read(run, newest).epoch
    for path in (run / f"checkpoints/epoch_{epoch}/state").rglob("d/*"):
        damage(path)


def damage_newest_weights(run):
    add_a_worse_epoch(run)
    damage_weights(run, newest=True)


# Orbax leaves tasks of a failed read behind, whose event loop is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (forget_report, "report.json was not found: the run is not finished"),
        (extend, r"do not belong to its best epoch, \d of 2. Write them again with"),
        (forget_thresholds, "do not belong to its best epoch"),
        (damage_report, "report.json is damaged or was changed"),
        (damage_weights, r"epoch_\d: this checkpoint is damaged"),
        (damage_newest_weights, "epoch_3: this checkpoint is damaged"),
    ],
)
def test_a_run_that_is_not_whole_is_not_uploaded(
    change, message, server, shared_run, tmp_path
):
    run = shutil.copytree(shared_run, tmp_path / "copy")
    change(run)
    with pytest.raises(ValueError, match=message) as raised:
        mrm_jax.push_to_hub(run, REPO, token=ALICE)
    assert str(run) in str(raised.value)
    assert server.requests == []


def large_file(repository):
    return next(
        name
        for name, content in repository.files().items()
        if hub_server.is_lfs(content) and "/d/" in name
    )


@pytest.mark.parametrize("kind", ["small", "large"])
def test_a_damaged_download_is_named(kind, pushed):
    name = thresholds_file.FILE
    if kind == "large":
        name = large_file(pushed.repositories[REPO])
    pushed.damaged_file = name
    message = f"these files differ from {pushed.address}/{REPO}: {name}. Remove"
    for _ in range(2):  # it is in the cache now
        with pytest.raises(ValueError, match=message) as raised:
            mrm_jax.from_hub(REPO, token=ALICE)
    pushed.damaged_file = None
    folder = str(raised.value).split("Remove ")[1].split(" and ")[0]
    shutil.rmtree(folder)
    assert mrm_jax.from_hub(REPO, token=ALICE).labels == small_runs.LABELS


# Orbax leaves tasks of a failed read behind, whose event loop is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damage_in_the_repository_itself_is_named(pushed):
    files = pushed.repositories[REPO].files()
    for name, content in files.items():
        if "/state/" in name and "/d/" in name:
            middle = len(content) // 2
            wrong = bytes([content[middle] ^ 1])
            files[name] = content[:middle] + wrong + content[middle + 1 :]
    with pytest.raises(ValueError, match="this checkpoint is damaged"):
        mrm_jax.from_hub(REPO, token=ALICE)


def test_environment_variables_of_huggingface_hub_apply(server, shared_run, tmp_path):
    code = (
        "import sys, mrm_jax\n"
        "from tests.helpers import tiny_network\n"
        "tiny_network.install()\n"
        f"mrm_jax.push_to_hub(sys.argv[1], {REPO!r})\n"
        f"print(mrm_jax.from_hub({REPO!r}).run.workdir)\n"
    )
    environment = os.environ | {
        "HF_ENDPOINT": server.address,
        "HF_HUB_CACHE": str(tmp_path / "elsewhere"),
        "HF_TOKEN": ALICE,
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, shared_run],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "elsewhere"))
    assert len(server.repositories[REPO].messages) == 2
