"""The commands that runs print and store are run as they are printed."""

import contextlib
import html
import importlib
import io
import json
import re
import shlex

import pytest

from mrm_jax import evaluate, predict, train
from mrm_jax.reports import html as html_report
from mrm_jax.reports import model_card, run_report
from tests.helpers import command_check, printed_commands, small_predictions, small_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("tiny_network", "same_pictures"),
]

RUN, OTHER = "Ann's runs/the first", "Ann's runs/other"
SHARDS, ELSEWHERE = "data of Ann/shards", "data of Ann/elsewhere"


def flags(run, seed):
    return [
        *("--config", "base", f"--workdir={run}", f"--config.data.shards={SHARDS}"),
        *("--config.data.label_set=waves", "--config.batch_size=12"),
        *("--config.num_epochs=2", f"--config.seed={seed}"),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs and evaluations of the first, and what was printed."""
    place, printed = tmp_path_factory.mktemp("work"), io.StringIO()
    with contextlib.chdir(place), contextlib.redirect_stdout(printed):
        small_runs.write_shards(place / SHARDS)
        small_runs.write_shards(place / ELSEWHERE, seed=5)
        for seed, run in enumerate((RUN, OTHER)):
            assert train.main(flags(run, seed)) == 0
        quick = ["--resamples", "20"]
        for more in (
            ["--split", "val"],
            ["--data", ELSEWHERE],
            ["--compare", OTHER],
            ["--out", "results of Ann"],
        ):
            assert evaluate.main(["--run", RUN, *more, *quick]) == 0
        assert evaluate.main(["--run", RUN, OTHER]) == 0
        assert evaluate.main(["--run", RUN, *quick]) == 0
    (place / "printed.txt").write_text(printed.getvalue())
    return place


def strings(content):
    """Yields all strings of a JSON value."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list | dict):
        for value in content.values() if isinstance(content, dict) else content:
            yield from strings(value)


def lines(path):
    """Returns the lines of a file as its reader sees them."""
    text = path.read_text()
    if path.suffix == ".json":
        return list(strings(json.loads(text)))
    if path.suffix == ".html":
        text = html.unescape(
            re.sub(r"<script.*?</script>|<[^>]+>", "", text, flags=re.DOTALL)
        )
    return text.splitlines()


def commands(place):
    """Returns the commands in outputs, each with the files that have it."""
    found = {}
    for path in sorted(place.rglob("*")):
        if path.suffix not in (".txt", ".json", ".html", ".md"):
            continue
        name = str(path.relative_to(place))
        for line in lines(path):
            for part in printed_commands.of_script(name, line):
                if part.kind == "command":
                    found.setdefault(part, None)
    return list(found)


def test_outputs_have_commands(folder):
    files = {part.file for part in commands(folder)}
    assert "printed.txt" in files
    for name in (html_report.FILE, model_card.FILE, run_report.JSON_FILE):
        assert f"{RUN}/{name}" in files
    for evaluation in ("val", "test-waves-1", "test-compared-with-other"):
        assert any(f"{RUN}/evaluations/{evaluation}/" in file for file in files)


def test_every_command_in_an_output_is_complete(folder):
    assert command_check.problems(commands(folder)) == []


def test_commands_in_outputs_work_as_printed(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    small_predictions.write_record(folder / "RECORD")  # what the model card calls it
    before = run_report.read(RUN)["facts"]
    for words in sorted({part.words for part in commands(folder)}):
        command = shlex.join(words)
        assert words[:2] == ("python", "-m"), command
        status = importlib.import_module(words[2]).main(list(words[3:]))
        assert status == 0, f"{command}\n{capsys.readouterr().err}"
    after = run_report.read(RUN)["facts"]
    assert after["command"] == before["command"]
    assert shlex.split(before["command"])[3:] == flags(RUN, seed=0)


def test_the_command_of_a_run_repeats_it_elsewhere(folder, tmp_path, monkeypatch):
    command = run_report.read(folder / RUN)["facts"]["command"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / SHARDS).parent.mkdir()
    (tmp_path / SHARDS).symlink_to(folder / SHARDS)
    assert train.main(shlex.split(command)[3:]) == 0
    assert small_runs.equal(folder / RUN, tmp_path / RUN)


def test_the_command_of_a_run_names_its_default_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [flag for flag in flags("", 0) if not flag.startswith("--workdir")]
    shards = f"--config.data.shards={folder / SHARDS}"
    assert train.main([*given, shards, "--config.name=Ann's"]) == 0
    command = run_report.read("runs/Ann's")["facts"]["command"]
    assert shlex.split(command)[-1] == "--workdir=runs/Ann's"


def test_the_advice_on_thresholds_works_as_printed(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    thresholds = folder / RUN / "thresholds.json"
    thresholds.unlink()
    small_predictions.write_record(folder / "RECORD")
    assert predict.main(["--run", RUN, "RECORD"]) == 0
    (command,) = re.findall(
        r"python -m mrm_jax\.evaluate (.*)", capsys.readouterr().out
    )
    assert evaluate.main(shlex.split(command)) == 0
    assert thresholds.exists()
