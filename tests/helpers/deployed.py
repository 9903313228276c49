"""Helpers for the tests of deploy/: its files, and the commands in a text."""

import re
import shlex
from pathlib import Path

from mrm_jax import sweep

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def name(path):
    """Returns a file's name for the test that reads it."""
    return str(path.relative_to(DEPLOY))


def commands(path, pattern):
    """Returns the commands of a text or comment that match, each as its words."""
    lines = re.sub(r"(?m)^(# ?| {4})", "", path.read_text())
    lines = lines.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if re.match(pattern, line.strip())]


def arguments(words, module):
    """Returns the arguments of python -m MODULE in a command."""
    place = words.index(module)
    assert Path(words[place - 2]).name == "python"
    assert words[place - 1] == "-m"
    return words[place + 1 :]


def check_sweep(arguments, capsys):
    """Lets the command read all arguments, up to one more that it refuses."""
    assert sweep.main([*arguments, "--config.no_such_name=1"]) == sweep.WRONG_INPUT
    assert "no_such_name" in capsys.readouterr().err
