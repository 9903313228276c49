import signal
import subprocess
import sys

import pytest

from mrm_jax.runtime import locks
from tests import conftest

HOLD = """
import pathlib, sys, time
from mrm_jax.runtime import locks
with locks.writing(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has locked the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=conftest.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused(holder, tmp_path):
    with pytest.raises(ValueError, match="another process is writing to this folder"):
        with locks.writing(tmp_path):
            pass


def test_a_killed_process_keeps_no_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locks.writing(tmp_path):
        pass


def test_the_lock_is_released_and_the_folder_created(tmp_path):
    for _ in range(2):
        with locks.writing(tmp_path / "new" / "run"):
            assert (tmp_path / "new" / "run" / ".lock").exists()


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch, capsys):
    def flock(*_):
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with locks.writing(tmp_path):
        pass
    assert "this file system has no locks" in capsys.readouterr().out


def test_other_errors_of_the_file_system_are_raised(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(locks.errno.EIO, "Input/output error")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"):
        with locks.writing(tmp_path):
            pass
