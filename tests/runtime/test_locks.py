import signal
import subprocess
import sys

import pytest

from mrm_jax.runtime import locks
from tests import conftest

HOLD = """
import pathlib, sys, time
from mrm_jax.runtime import locks
with getattr(locks, sys.argv[1])(pathlib.Path(sys.argv[2])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["writing", "writing_file"])
def lock(request):
    """A function that locks a path."""
    return getattr(locks, request.param)


@pytest.fixture
def holder(lock, tmp_path):
    """A process that has locked the path."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock.__name__, str(tmp_path / "out")],
        cwd=conftest.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused(lock, holder, tmp_path):
    with pytest.raises(ValueError, match="out: another process is writing to this"):
        with lock(tmp_path / "out"):
            pass


def test_a_killed_process_keeps_no_lock(lock, holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock(tmp_path / "out"):
        pass


def test_a_locked_file_leaves_nothing_behind(tmp_path):
    path = tmp_path / "scores.csv"
    leftover = tmp_path / f".scores.{'0' * 32}.tmp.csv"
    other = tmp_path / f".others.{'0' * 32}.tmp.csv"
    for file in (leftover, other):
        file.write_text("half")
    with locks.writing_file(path):
        assert (tmp_path / ".scores.csv.lock").exists()
        path.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([other, path])


def test_the_lock_is_released_and_the_folder_created(tmp_path):
    for _ in range(2):
        with locks.writing(tmp_path / "new" / "run"):
            assert (tmp_path / "new" / "run" / ".lock").exists()


def test_a_file_system_without_locks_is_reported(lock, tmp_path, monkeypatch, capsys):
    def flock(*_):
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with lock(tmp_path / "out"):
        pass
    assert "this file system has no locks" in capsys.readouterr().out


@pytest.mark.parametrize("number", locks.READ_ONLY)
def test_a_folder_that_cannot_be_written_to_is_named(
    lock, number, tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise OSError(number, "Read-only")

    monkeypatch.setattr(locks.Path, "open", refuse)
    advice = "with `--out`|Name a file in another"
    message = (
        rf"{tmp_path}.*: this folder cannot be written to \(Read-only\).*({advice})"
    )
    with pytest.raises(ValueError, match=message):
        with lock(tmp_path / "out"):
            pass


def test_other_errors_of_the_file_system_are_raised(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(locks.errno.EIO, "Input/output error")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"):
        with locks.writing(tmp_path):
            pass


def test_an_error_leaves_no_empty_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), locks.writing(tmp_path / "new"):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), locks.writing(tmp_path / "kept"):
        (tmp_path / "kept" / "result").touch()
        raise ZeroDivisionError
    (tmp_path / "old").mkdir()
    with pytest.raises(ZeroDivisionError), locks.writing(tmp_path / "old"):
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "old"]


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}: this is a folder. Name a file"):
        with locks.writing_file(tmp_path):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="/file: this is a file. Name a folder"):
        with locks.writing(tmp_path / "file"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
