"""A hub on this machine, and a run to share on it."""

import huggingface_hub
import pytest
from huggingface_hub import constants

import mrm_jax
from mrm_jax.runs import experiment
from tests.helpers import hub_server, small_runs
from tests.helpers.hub_server import ALICE, REPO


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    return small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")


@pytest.fixture(scope="module")
def shared_run(shards_dir, tmp_path_factory):
    """A finished run, whose command has paths of this machine."""
    workdir = tmp_path_factory.mktemp("runs") / "waves"
    command = f"python -m mrm_jax.train --config=experiments/x.py --workdir={workdir}"
    config = small_runs.config(shards_dir, num_epochs=2)
    experiment.train_and_evaluate(config, workdir, command)
    return workdir


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A hub with the users alice and bob, which huggingface_hub uses for a test."""
    with hub_server.running() as server:
        template = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield server
        huggingface_hub.close_session()


@pytest.fixture
def pushed(server, shared_run):
    """The hub after alice pushed the run."""
    mrm_jax.push_to_hub(shared_run, REPO, token=ALICE)
    return server
