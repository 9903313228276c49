"""An invalid experiment ends the command with one line that names it."""

import pytest

from mrm_jax import train
from tests.helpers import small_runs

BODY = """
from experiments import base


def get_config():
    config = base.get_config()
    config.name = "waves"
    config.data.shards, config.data.label_set = {shards!r}, "waves"
    {line}
    return config
"""
FILES = {
    "x = 1": "this file has no function get_config",
    "": "this file has no function get_config",
    "get_config = 3": "'int' object is not callable",
    "def get_config(:": "line 1: SyntaxError: invalid syntax",
    "def get_config():\n    return nothing": "line 2: NameError: name 'nothing'",
    "import not_there": "line 1: ModuleNotFoundError: No module named 'not_there'",
    "def get_config():\n    return 1 / 0": "line 2: ZeroDivisionError",
    "def get_config():\n    pass": "has to return a ConfigDict",
    "def get_config():\n    return {}": "it returned dict",
    "def get_config(a, b):\n    return a": "get_config() missing 2 required",
    "\0": "source code string cannot contain null bytes",
}
LINES = {
    'config.batch_size = "many"': "line 9: TypeError",
    "config.batch_size = 1.5": "line 9: TypeError",
    "config.batch_size = -1": "batch_size: expected 1 to 131,072, got -1",
    "config.batch_size = 10**12": "batch_size: expected 1 to 131,072",
    "config.seed = -1": "seed: expected 0 to",
    "config.seed = 2**70": "seed: expected 0 to",
    "config.num_epochs = 10**9": "num_epochs: expected 1 to 1,000,000",
    'config.hparams.learning_rate = float("nan")': "learning_rate: expected 0 <= value",
    'config.hparams.learning_rate = float("inf")': "learning_rate: expected 0 <= value",
    "config.hparams.high_weight = -1.0": "high_weight: expected 0 <= value",
    "config.hparams.temperature = 0.0": "temperature: expected 1e-06 <= value",
    "config.model.width = 10**9": "model.width: expected 4 to 1,024",
    "config.model.width = 0": "model.width: expected 4 to 1,024, got 0",
    "config.model.mutual_stages = (1,)": "model.mutual_stages[0]: expected str",
    'config.model.compute_dtype = "int8"': "compute_dtype: expected one of",
    "config.data.shards = None": "data.shards: expected the folder of the shards",
    'config.data.shards = "nowhere"': "nowhere/manifest.json was not found",
    'config.data.label_set = "other"': "has no label set 'other'. It has waves",
    'config.data.resident_gib = float("nan")': "data.resident_gib: expected 0 or more",
    'config.data.resident_gib = float("inf")': "data.resident_gib: expected 0 or more",
    "config.typo = 1": "object contains unknown field typo",
    "config.hparams.typo = 1.0": "hparams: object contains unknown field typo",
    "del config.model": "object missing required field model",
    "config.model = None": "model: expected object, got null",
    'config.selection_head = "both"': "selection_head: expected one of",
    'config.name = "../elsewhere"': "name: expected a name without /",
    'config.name = ""': "name: expected 1 to 200 characters",
    'config.name = "a\\nb"': "without control characters",
    'config.name = "\\x1b[31mred"': "without control characters",
    'config.name = "x" * 400': "name: expected 1 to 200 characters",
}
OVERRIDES = {
    "--config.batch_size=many": "invalid literal for int()",
    "--config.hparams.learning_rate=1e400": "learning_rate: expected 0 <= value",
    "--config.model.mutual_stages=(1,": "Error while parsing string",
    "--config.data.resident_gib=much": "could not convert string to float",
    "--config.name=a/b": "name: expected a name without /",
    "--peer_timeout=soon": "invalid literal for int()",
}


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    return small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")


def check_one_line(arguments, workdir, capsys, message):
    status = train.main([*arguments, f"--workdir={workdir}"])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert not workdir.exists()


@pytest.mark.parametrize("content", FILES)
def test_files_that_fail_are_named(content, tmp_path, capsys):
    file = tmp_path / "experiment.py"
    file.write_text(content)
    check_one_line([f"--config={file}"], tmp_path / "run", capsys, FILES[content])


@pytest.mark.parametrize("line", LINES)
def test_invalid_values_are_named(line, shards_dir, tmp_path, capsys):
    file = tmp_path / "experiment.py"
    file.write_text(BODY.format(shards=str(shards_dir), line=line))
    check_one_line([f"--config={file}"], tmp_path / "run", capsys, LINES[line])


@pytest.mark.parametrize("override", OVERRIDES)
def test_invalid_overrides_are_named(override, shards_dir, tmp_path, capsys):
    file = tmp_path / "experiment.py"
    file.write_text(BODY.format(shards=str(shards_dir), line=""))
    arguments = [f"--config={file}", override]
    check_one_line(arguments, tmp_path / "run", capsys, OVERRIDES[override])


def test_missing_files_are_named(tmp_path, capsys):
    for path, found in ((tmp_path / "no.py", "nothing"), (tmp_path, "a folder")):
        message = f"{path}: expected an experiment file, found {found}"
        check_one_line([f"--config={path}"], tmp_path / "run", capsys, message)
