"""Commands answer a damaged or foreign run folder with one line that names it."""

import json
import shutil

import pytest

from mrm_jax import convert, evaluate, export, predict
from mrm_jax.runs import trained_run
from tests.helpers import small_predictions


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with shards, a run and a record."""
    folder = tmp_path_factory.mktemp("files")
    small_predictions.write_run(folder)
    small_predictions.write_record(folder / "record")
    return folder


def part(run, name):
    (found,) = (run / "checkpoints").glob(f"*/{name}")
    return found


def rewrite(run, change):
    """Changes the metadata of the checkpoint, and removes their checksums."""
    path = part(run, "facts/metadata")
    content = json.loads(path.read_text())
    del content["checksums"]
    path.write_text(json.dumps(change(content)))


def without(*path):
    def change(content):
        inner = content
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        return content

    return change


def with_value(value, *path):
    def change(content):
        inner = content
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        return content

    return change


METADATA = [
    (lambda _: {}, "missing required field `config`"),
    (without("config"), "missing required field `config`"),
    (without("config", "model"), "missing required field model"),
    (without("data", "mean_uv"), "missing required field `mean_uv`"),
    (with_value(None, "data"), "Expected `object`, got `null`"),
    (with_value([], "config"), "Expected `object`, got `array`"),
    (with_value("AF", "data", "labels"), "Expected `array`, got `str`"),
    (with_value(["a", "a", "b"], "data", "labels"), "labels have to be different"),
    (with_value(["a"], "data", "labels"), "3 descriptions of 1 labels"),
    (with_value(["a\x1b[2J", "b", "c"], "data", "labels"), "without control charact"),
    (with_value("many", "config", "model", "width"), "width: expected int, got str"),
    (with_value(10**9, "config", "model", "width"), "width: expected 4 to 1,024"),
    (with_value(0, "data", "std_uv"), "std_uv has to be positive"),
    (with_value("12", "data", "mean_uv"), "Expected `float | null`, got `str`"),
    (with_value(0, "data", "sampling_rate"), "sampling_rate has to be positive"),
    (with_value(10**12, "data", "num_samples"), "num_samples: expected 1 to"),
    (with_value(["I"], "data", "leads"), "arrays do not fit the network of its metad"),
    (with_value(["I", "I"], "data", "leads"), "expected one or more different leads"),
    (with_value(["I", "X"], "data", "leads"), "expected one or more different leads"),
]
FOLDERS = [
    (shutil.rmtree, "there is no such folder or file"),
    (lambda run: shutil.rmtree(run / "checkpoints"), "this folder has no checkpoints"),
    (lambda run: shutil.rmtree(part(run, "")), "no finished epoch"),
    (lambda run: shutil.rmtree(part(run, "facts")), "epoch_7: this checkpoint is dama"),
    (lambda run: shutil.rmtree(part(run, "metrics")), "its validation metric is missi"),
    (lambda run: part(run, "facts/metadata").write_text("["), "epoch_7: this checkpo"),
    (lambda run: (run / "thresholds.json").write_text("[]"), "thresholds.json is dam"),
]


def check(files, run, message, capsys):
    commands = {
        predict: [files / "record.hea"],
        evaluate: ["--out", files / "out"],
        export: ["--format", "npz", "--out", files / "out.npz"],
        convert: ["--to_torch", files / "out.pth"],
    }
    for command, words in commands.items():
        status = command.main(["--run", str(run), *map(str, words)])
        error = capsys.readouterr().err
        assert status == 2, command
        assert error.startswith("error: ") and error.count("\n") == 1, error
        assert message in error
    assert not list(files.glob("out*"))


@pytest.mark.parametrize(("change", "message"), METADATA)
def test_invalid_metadata_are_named(files, tmp_path, change, message, capsys):
    run = shutil.copytree(files / "run", tmp_path / "run")
    rewrite(run, change)
    check(files, run, message, capsys)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("damage", "message"), FOLDERS)
def test_damaged_folders_are_named(files, tmp_path, damage, message, capsys):
    run = shutil.copytree(files / "run", tmp_path / "run")
    damage(run)
    check(files, run, message, capsys)


@pytest.mark.parametrize("line", [b"\xff", b'{"epoch": 1, "val/bce": "x"}', b"[1]"])
def test_damaged_metrics_are_named(files, tmp_path, line, capsys):
    run = shutil.copytree(files / "run", tmp_path / "run")
    (run / "metrics.jsonl").write_bytes(line + b"\n")
    assert evaluate.main(["--run", str(run), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"error: {run}/metrics.jsonl, line 1: expected a JSON object" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_run_whose_name_is_no_longer_accepted_is_read(files, tmp_path):
    run = shutil.copytree(files / "run", tmp_path / "run")
    rewrite(run, with_value("ablations/first", "config", "name"))
    assert trained_run.read(run).metadata["config"]["name"] == "ablations/first"
