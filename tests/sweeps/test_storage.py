import json
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from mrm_jax.sweeps import storage as storage_lib
from mrm_jax.sweeps import study
from tests.helpers import study_worker

pytestmark = pytest.mark.slow


def join(storage, patience_s=1.0):
    study_spec = study_worker.study_spec()
    return study.Study(storage, study_spec, "a", 1, 3, patience_s)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_server_that_does_not_answer_is_named_without_its_password(capsys):
    storage = f"postgresql://user:secret@127.0.0.1:{free_port()}/sweeps"
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"postgresql://user:\*\*\*@127") as error:
        join(storage, patience_s=4)  # enough for three attempts on a busy machine
    assert 3 < time.monotonic() - start < 30
    assert "Connection refused" in str(error.value)
    said = capsys.readouterr().out
    assert "retrying" in said
    assert "secret" not in said + str(error.value)


@pytest.mark.parametrize(
    "name", ["plain", "a?b=c", "a#b", "a%41", "a{b}", "a@b:c", "two words", "ä&+;"]
)
def test_a_file_may_have_any_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    for file in (Path(name) / "1.sqlite", tmp_path / name / "2.sqlite"):
        with join(storage_lib.sqlite_url(file)) as study_of_file:
            assert study_of_file.acquire() is not None
    assert [path.name for path in tmp_path.iterdir()] == [name]
    found = sorted(path.name for path in (tmp_path / name).iterdir())
    assert found == ["1.sqlite", "2.sqlite"]


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("study.txt", "study.txt is not a known storage: expected postgresql://USER@"),
        (
            "postgres://user:secret@host/db",
            "is not a known storage: expected postgresql://",
        ),
        ("mysql+nothing://user:secret@host/db", "is not a known storage"),
        (
            "postgresql+pg8000://user:secret@host/db",
            "database driver for .* is not installed",
        ),
    ],
)
def test_an_unknown_kind_of_storage_raises(storage, message):
    with pytest.raises(ValueError, match=message) as error:
        join(storage)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("study.sqlite", b"no database" * 100, "file is not a database"),
        ("study.journal", b"\x83\xff\n", "can't decode byte"),
        ("study.journal", b'{"op_code": 0, "worker_id": "a"}\n', "study_name"),
        ("study.journal", b"half a line\n{}\n", "Expecting value"),
        ("study.journal", b"[1]\n", "TypeError"),
    ],
)
def test_a_damaged_storage_is_named(name, content, reason, tmp_path):
    file = tmp_path / name
    file.write_bytes(content)
    storage = str(file) if name.endswith("journal") else storage_lib.sqlite_url(file)
    message = f"{name}: this storage cannot be used .*{reason}.*another --workdir"
    with pytest.raises(ValueError, match=message):
        join(storage)


def test_a_storage_that_becomes_damaged_is_named(tmp_path):
    file = tmp_path / "study.journal"
    with join(str(file)) as worker:
        worker.acquire()
        with file.open("ab") as opened:
            opened.write(b"half a line\n{}\n")
        with pytest.raises(ValueError, match=r"study\.journal: this storage cannot"):
            worker.acquire()


def test_half_a_line_of_a_journal_is_removed(tmp_path):
    file = tmp_path / "study.journal"
    with join(str(file)) as worker:
        lease = worker.acquire()
        with file.open("ab") as opened:  # by a worker whose disk was full
            opened.write(b'{"op_code":7,"worker_id":"a')
        assert worker.report(lease, 1, 0.5) is study.Verdict.GO_ON
    assert [json.loads(line) for line in file.read_bytes().splitlines()]
    with join(str(file)) as worker:
        (row,) = worker.table()
        assert row.reported == {1: 0.5}
    assert list(tmp_path.iterdir()) == [file]


def test_the_lock_of_a_relative_path_can_expire(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared").mkdir()
    join("shared/study.journal").close()
    lock = storage_lib._JournalLock("shared/study.journal")
    lock.acquire()
    assert (tmp_path / "shared" / "study.journal.lock").exists()  # its target, too
    lock.release()


def test_a_database_of_another_version_is_named(tmp_path):
    file = tmp_path / "study.sqlite"
    join(storage_lib.sqlite_url(file)).close()
    with sqlite3.connect(file) as connection:
        connection.execute("update alembic_version set version_num = 'v99.0.0'")
    connection.close()
    with pytest.raises(ValueError, match=r"study\.sqlite: .* no longer compatible"):
        join(storage_lib.sqlite_url(file))


def test_a_file_that_cannot_be_opened_is_not_waited_for(tmp_path):
    file = tmp_path / "missing" / "study.sqlite"
    with pytest.raises(ValueError, match="unable to open database file"):
        join(storage_lib.sqlite_url(file), patience_s=600)


def test_calls_are_retried_during_an_outage(postgresql_server, postgresql_url, capsys):
    with join(postgresql_url, patience_s=30) as worker:
        lease = worker.acquire()
        postgresql_server.stop()
        restart = threading.Timer(1, postgresql_server.start)
        restart.start()
        assert worker.report(lease, 1, 0.5) is study.Verdict.GO_ON
        restart.join()
        assert worker.finish(lease, 0.6)
        assert [row.state for row in worker.table()] == ["complete"]
    assert "retrying" in capsys.readouterr().out


def test_other_errors_are_raised_at_once():
    calls = []

    def fail():
        calls.append(1)
        raise KeyError("a mistake")

    with pytest.raises(KeyError):
        storage_lib.Patience("study.journal", 60)(fail)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("timezone", "UTC"), ("idle_in_transaction_session_timeout", "1min")],
)
def test_sessions_do_not_depend_on_server_settings(postgresql_url, setting, expected):
    storage = storage_lib.open_storage(postgresql_url, 1, 3)
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql(f"show {setting}").scalar() == expected
    storage_lib.close(storage)
