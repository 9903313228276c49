import sys

import pytest
from huggingface_hub import constants

import mrm_jax
from mrm_jax.runs import hub
from tests.helpers import small_predictions
from tests.helpers.hub_server import ALICE, BOB, REPO

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]


@pytest.mark.parametrize(
    "repo_id", ["waves", "alice/waves/1", "alice/wa ves", "alice/-", "", "alice/a--b"]
)
def test_an_invalid_name_is_explained(repo_id, server, shared_run):
    message = "is not the name of a repository. Expected USER/NAME"
    with pytest.raises(ValueError, match=message):
        mrm_jax.push_to_hub(shared_run, repo_id, token=ALICE)
    with pytest.raises(ValueError, match=message):
        mrm_jax.from_hub(repo_id, token=ALICE)
    assert server.requests == []


def test_an_invalid_token_is_explained(pushed, shared_run):
    message = f"{REPO}: the hub did not accept the token"
    with pytest.raises(ValueError, match=message):
        mrm_jax.push_to_hub(shared_run, REPO, token="hf_wrong")
    with pytest.raises(ValueError, match=message):
        mrm_jax.from_hub(REPO, token="hf_wrong")


def test_a_name_that_belongs_to_others_is_explained(pushed, shared_run):
    with pytest.raises(ValueError, match="alice/new: the token does not permit this"):
        mrm_jax.push_to_hub(shared_run, "alice/new", token=BOB)
    pushed.repositories[REPO].private = False
    with pytest.raises(ValueError, match=f"{REPO}: the token does not permit this"):
        mrm_jax.push_to_hub(shared_run, REPO, private=False, token=BOB)
    assert len(pushed.repositories[REPO].messages) == 2


def test_a_public_repository_gets_no_private_run(server, shared_run):
    hub.push(shared_run, REPO, private=False, token=ALICE)
    with pytest.raises(ValueError, match="everybody can read it. Pass `private=False`"):
        hub.push(shared_run, REPO, token=ALICE)
    assert len(server.repositories[REPO].messages) == 2


@pytest.mark.parametrize(("repo_id", "token"), [("alice/none", ALICE), (REPO, BOB)])
def test_a_missing_or_private_repository_is_explained(repo_id, token, pushed):
    message = f"{repo_id}: this repository was not found, or it is private. Check its"
    with pytest.raises(ValueError, match=message):
        mrm_jax.from_hub(repo_id, token=token)


def test_a_missing_revision_is_explained(pushed):
    with pytest.raises(ValueError, match="has no branch, tag or commit 'v2'"):
        mrm_jax.from_hub(REPO, revision="v2", token=ALICE)


def test_a_repository_without_a_run_is_not_downloaded(pushed):
    pushed.repositories[REPO].commit("main", {"model.bin": b"weights"}, "by hand")
    with pytest.raises(ValueError, match="holds no run of mrm_jax"):
        mrm_jax.from_hub(REPO, token=ALICE)
    assert not any("resolve" in request for request in pushed.requests)


def test_an_error_of_the_hub_has_one_line_and_no_traceback_of_its_own(pushed):
    with pytest.raises(ValueError) as raised:
        mrm_jax.from_hub("alice/none", token=ALICE)
    assert "\n" not in str(raised.value)
    assert raised.value.__suppress_context__


def break_service(server, monkeypatch):
    server.is_broken = True


def be_offline(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def cut_network(server, monkeypatch):
    nowhere = "http://127.0.0.1:9"  # the discard port, where nobody listens
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)


@pytest.mark.parametrize("cut", [break_service, be_offline, cut_network])
def test_without_a_hub_the_cache_is_used(cut, pushed, shared_run, monkeypatch, capsys):
    online = mrm_jax.from_hub(REPO, token=ALICE).predict(
        small_predictions.ecg_mv(), 500
    )
    assert "cannot be reached" not in capsys.readouterr().out
    cut(pushed, monkeypatch)
    offline = mrm_jax.from_hub(REPO, token=ALICE).predict(
        small_predictions.ecg_mv(), 500
    )
    assert offline.scores == online.scores
    assert f"cannot be reached. Using the cached {REPO}." in capsys.readouterr().out
    with pytest.raises(ConnectionError, match="the cache has no complete copy"):
        mrm_jax.from_hub("alice/other", token=ALICE)
    with pytest.raises(ConnectionError, match="the hub (cannot be reached|does not)"):
        mrm_jax.push_to_hub(shared_run, REPO, token=ALICE)


def test_without_the_package_the_error_says_how_to_install_it(shared_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = "needs the extra `hub`, but huggingface_hub is not installed. Run: pip"
    with pytest.raises(ImportError, match=message):
        mrm_jax.push_to_hub(shared_run, REPO)
    with pytest.raises(ImportError, match=message):
        mrm_jax.from_hub(REPO)
