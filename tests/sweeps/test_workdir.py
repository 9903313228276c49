import platform
import signal
import subprocess
import sys

import pytest

from mrm_jax.runtime import locks
from mrm_jax.sweeps import workdir
from tests import conftest

HOLD = """
import sys, time, pathlib
from mrm_jax.sweeps import workdir
with workdir.worker_name(pathlib.Path(sys.argv[1])) as name:
    print(name, flush=True)
    time.sleep(60)
"""


def test_workers_on_one_machine_have_different_names(tmp_path):
    with (
        workdir.worker_name(tmp_path) as first,
        workdir.worker_name(tmp_path) as second,
    ):
        assert (first, second) == (platform.node(), f"{platform.node()}-2")
    with workdir.worker_name(tmp_path) as again:
        assert again == first


def test_workers_of_one_study_in_different_folders_have_different_names(tmp_path):
    def name(folder):
        with workdir.worker_name(folder, has_shared_study=True) as found:
            return found

    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    first, second = map(name, folders)
    assert first != second and first.startswith(f"{platform.node()}-")
    assert name(folders[0] / ".." / "a") == first


def test_a_killed_process_frees_its_name(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(
        command, cwd=conftest.ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == platform.node()
    with workdir.worker_name(tmp_path) as beside:
        assert beside == f"{platform.node()}-2"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with workdir.worker_name(tmp_path) as again:
        assert again == platform.node()


def test_a_file_system_without_locks_asks_for_names(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    message = f"{tmp_path}/workers: this file system has no locks.* with --worker"
    with pytest.raises(ValueError, match=message):
        with workdir.worker_name(tmp_path):
            pass
