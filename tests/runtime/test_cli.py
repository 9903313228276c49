"""Renamed flags and the exit status of commands."""

import gc
import subprocess
import sys

import pytest

from data_prep import command
from mrm_jax import sweep
from mrm_jax.runtime import cli
from tests import conftest


def test_old_flags_are_renamed():
    words = ["--workdir=a", "--workdir", "b", "--out", "--workdirs"]
    renamed = cli.rename_flags(words, {"--workdir": "--run"})
    assert renamed == ["--run=a", "--run", "b", "--out", "--workdirs"]


def test_old_flags_of_sweeps_are_renamed():
    assert sweep.RENAMED == {
        "--way": "--batching",
        "--beat_s": "--heartbeat_s",
        "--grace_s": "--timeout_s",
    }
    words = ["--config=x", "--way=unrolled", "--beat_s=2", "--grace_s", "7"]
    args = sweep._flags().parse_args(cli.rename_flags(words, sweep.RENAMED))
    assert (args.batching, args.heartbeat_s, args.timeout_s) == ("loop", 2, 7)


@pytest.mark.parametrize(
    "word", ["--sampler_seed=-1", "--seeds=-1", "--trials=0", "--trials=many"]
)
def test_a_number_out_of_range_is_named_with_its_flag(word, capsys):
    with pytest.raises(SystemExit):
        sweep._flags().parse_args(["--config=x", word])
    flag, _, value = word.partition("=")
    least = int(flag == "--trials")
    message = f"argument {flag}: expected {least} or more, got {value}\n"
    assert capsys.readouterr().err.endswith(message)


SHORT = {"--data": "data.shards"}


@pytest.mark.parametrize("words", [["--data", "a b"], ["--data=a b"]])
def test_data_stands_for_a_value_of_the_experiment(words):
    found = cli.expand_flags(["--config=x", *words, "--workdir=w"], SHORT)
    assert found == ["--config=x", "--config.data.shards=a b", "--workdir=w"]


@pytest.mark.parametrize("words", [["--data"], ["--data="], ["--data", "--config=x"]])
def test_data_without_a_folder_raises(words):
    with pytest.raises(ValueError, match="--data: expected a value"):
        cli.expand_flags(words, SHORT)


def test_preparation_accepts_a_hidden_old_flag(capsys):
    parser = command.parser("Prepares.")
    args = parser.parse_args(["--raw_dir=raw", "--out_dir=shards"])
    assert str(args.out_dir) == "shards"
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "--out SHARDS" in shown and "--out_dir" not in shown


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (ValueError("no such run"), 2, "error: no such run\n"),
        (OSError("full"), 2, "error: full\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (None, 0, ""),
    ],
)
def test_exit_status_and_message(raised, status, said, capsys):
    def work():
        if raised is not None:
            raise raised

    assert cli.run(work, interrupted="Interrupted.") == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("usual", "meanwhile"), [(700, cli.NEW_OBJECTS), (0, 0)])
def test_garbage_is_collected_rarely_until_the_command_ends(usual, meanwhile):
    immortal = gc.get_freeze_count()  # hundreds from Python 3.12 on

    def work(then=None):
        assert gc.get_threshold() == (meanwhile, 10, 10)
        assert gc.get_freeze_count() > immortal + 10_000
        if then is not None:
            assert cli.run(then, interrupted="") == 0
            then()
            raise ValueError

    kept = gc.get_threshold()
    try:
        gc.set_threshold(usual, 10, 10)
        assert cli.run(lambda: work(then=work), interrupted="") == 2
        assert gc.get_threshold() == (usual, 10, 10)
        assert gc.get_freeze_count() <= immortal
    finally:
        gc.set_threshold(*kept)


def test_usage_names_a_command_as_it_is_typed():
    words = [sys.executable, "-m", "data_prep.ptbxl", "--help"]
    done = subprocess.run(words, cwd=conftest.ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("usage: python -m data_prep.ptbxl [-h]")


@pytest.mark.parametrize(
    "error", [MemoryError("unable to allocate"), RuntimeError("RESOURCE_EXHAUSTED: x")]
)
def test_a_lack_of_memory_says_how_to_need_less(error, capsys):
    def fail():
        raise error

    assert cli.run(fail, interrupted="", save_memory=cli.SAVE_MEMORY) == 2
    assert "lower the batch size" in capsys.readouterr().err
    assert cli.run(fail, interrupted="") == 2  # a command without these flags
    assert capsys.readouterr().err.endswith("\nThe memory does not suffice.\n")


def test_unexpected_errors_propagate():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 // 0, interrupted="")
    assert cli.run(lambda: 1 // 0, interrupted="", errors=(ZeroDivisionError,)) == 2


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        ("postgresql://me:pa@ss@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:pass@/db", "postgresql+psycopg://me:***@/db"),
        ("postgresql://h/db?password=pass&a=1", "postgresql://h/db?password=***&a=1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:///runs/a@b.sqlite", "sqlite:///runs/a@b.sqlite"),
    ],
)
def test_passwords_are_hidden(given, hidden, capsys):
    assert cli.without_passwords(given) == hidden
    words = [f"--storage={given}", "--storage", given]
    line = cli.command_line("mrm_jax.sweep", words)
    assert "pass@" not in line and "=pass" not in line

    def fail():
        raise ValueError(f"{given} does not answer")

    cli.run(fail, interrupted="")
    assert f"error: {hidden} does not answer" in capsys.readouterr().err
