"""Tests of `mrm-jax`, the one name of all commands."""

import importlib
import pkgutil

import pytest

import mrm_jax
from mrm_jax import __main__ as door
from mrm_jax import train
from mrm_jax.training import config, shipped_experiments
from mrm_jax.version import VERSION

NOT_COMMANDS = {"__main__", "listing", "version"}


def test_every_command_is_listed(capsys):
    modules = {m.name for m in pkgutil.iter_modules(mrm_jax.__path__) if not m.ispkg}
    assert set(door.COMMANDS) == modules - NOT_COMMANDS
    for words in ([], ["--help"]):
        assert door.main(words) == 0
        text = capsys.readouterr().out
        for name in (*door.COMMANDS, "list"):
            assert f"\n  {name} " in text


@pytest.mark.parametrize("command", [None, "list", *door.COMMANDS])
def test_every_command_says_its_version(command, capsys):
    words = ["--version"] if command is None else [command, "--version"]
    try:
        status = door.main(words)
    except SystemExit as left:  # argparse
        status = left.code
    assert status == 0
    assert capsys.readouterr().out == f"mrm_jax {VERSION}\n"


def test_an_unknown_command_lists_the_commands(capsys):
    assert door.main(["trian"]) == 2
    assert "'trian'; the commands are train, evaluate" in capsys.readouterr().err


def test_a_command_gets_its_flags(capsys):
    assert door.main(["train", "--config=demo", "--help"]) == 0
    assert "--config.model.width=8" in capsys.readouterr().out


def test_experiments_are_listed_with_their_label_sets(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert door.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.split()[:3] == ["ptbxl_rhythm", "rhythm", "PTB-XL,"] for line in lines
    )
    for name in shipped_experiments.names():
        assert any(line.split()[:1] == [name] for line in lines)


def test_an_experiment_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config.load("cpsc2018").name == "cpsc2018"
    for words in (["--config=demo"], ["--config", "demo"]):
        found, workdir = train.parse([*words, "--config.seed=3"])
        assert (found.name, found.seed, str(workdir)) == ("demo", 3, "runs/demo")


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("")
    assert shipped_experiments.resolve("demo") == "demo"


@pytest.mark.parametrize("name", ["cpsc", "cpsc2018.py", "../training/config", ""])
def test_an_unknown_experiment_lists_the_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="base, cpsc2018, demo, .*sweeps/demo"):
        shipped_experiments.resolve(name)


def test_an_experiment_of_ones_own_starts_from_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from mrm_jax.experiments import ptbxl_form\n\n\n"
        "def get_config():\n"
        "    config = ptbxl_form.get_config()\n"
        "    config.name = 'mine'\n"
        "    return config\n"
    )
    found = config.load("mine.py")
    assert (found.name, found.data.label_set) == ("mine", "form")


def test_the_earlier_import_is_explained(tmp_path):
    (tmp_path / "mine.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'experiments'\")\n"
    )
    with pytest.raises(ValueError, match="Write: from mrm_jax.experiments import base"):
        config.load(str(tmp_path / "mine.py"))


def test_the_experiments_are_those_of_the_clone():
    for name in ("base", "sweeps.demo"):
        ours = importlib.import_module(f"mrm_jax.experiments.{name}")
        top = importlib.import_module(f"experiments.{name}")
        assert ours.get_config().to_dict() == top.get_config().to_dict()
