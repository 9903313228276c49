"""The storage of a study: opens it by URL or path, retries, and sends heartbeats."""

import contextlib
import json
import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage, journal

from mrm_jax.runtime import cli, console, extras

T = TypeVar("T")

JOURNALS = (".journal", ".log")
FORMS = "postgresql://USER@HOST/DATABASE, sqlite:///FILE or FILE.journal"
OUTAGES = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    sqlalchemy.exc.PendingRollbackError,  # Optuna's second try after one of these
)
DAMAGE = (  # or a storage that is not ours, or one without the necessary rights
    sqlalchemy.exc.DatabaseError,
    json.JSONDecodeError,
    UnicodeDecodeError,
)
# SQLite gives these as outages too, but they last.
LASTING = ("SQLITE_CANTOPEN", "SQLITE_READONLY")
LONGEST_PAUSE_S = 5.0
LOCK = 0x6D726D6A6178  # any number that other programs on the server do not use


def open_storage(storage: str, heartbeat_s: int, timeout_s: int) -> BaseStorage:
    """Opens a database, which supports heartbeats, or a journal, which does not.

    Args:
        storage: URL or path in one of FORMS.
        heartbeat_s: interval between heartbeats, seconds.
        timeout_s: time without a heartbeat after which a trial is stale, seconds.

    Raises:
        ValueError: if the form is unknown, the driver is not installed, the database is
            of another version of Optuna, or the journal is damaged.
        sqlalchemy.exc.DBAPIError: if the database does not answer or refuses the
            connection.
        OSError: if the journal cannot be created.
    """
    if storage.endswith(JOURNALS) and "://" not in storage:
        return _open_journal(storage)
    try:
        with _one_worker_at_a_time(storage), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return RDBStorage(
                storage,
                engine_kwargs=_engine_options(storage),
                heartbeat_interval=heartbeat_s,
                grace_period=timeout_s,
            )
    except ImportError as error:
        raise ValueError(
            f"The database driver for {shown(storage)} is not installed. For the "
            f"default driver of postgresql://, run: {extras.how_to_install('sweep')}"
        ) from error
    except RuntimeError as error:  # of another version of Optuna
        raise ValueError(f"{shown(storage)}: {error}") from None
    except sqlalchemy.exc.ArgumentError as error:
        raise ValueError(
            f"{shown(storage)} is not a known storage: expected {FORMS}."
        ) from error


def _open_journal(path: str) -> BaseStorage:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    backend = journal.JournalFileBackend(path, _JournalLock(path))
    try:
        return journal.JournalStorage(backend)
    except OSError:
        raise
    except Exception as error:  # whatever a damaged line leads to
        raise _unusable(path, f"{type(error).__name__}: {error}") from None


class _JournalLock(journal.JournalFileSymlinkLock):
    """The lock that a writer of a journal holds; it removes half a line at the end.

    A writer whose disk is full, or that is killed, leaves one. With the next line it
    would become one that nobody can read, and the study would be lost.
    """

    def __init__(self, path: str) -> None:
        # The lock is a link to this path. A broken one would never expire.
        self._journal = Path(path).absolute()
        super().__init__(str(self._journal))

    def acquire(self) -> bool:
        """Locks the journal, all of whose lines are complete then."""
        is_acquired = super().acquire()
        try:
            with self._journal.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 1))
                if file.read() not in (b"", b"\n"):
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
        except BaseException:
            self.release()
            raise
        return is_acquired


def _unusable(storage: str, reason: str) -> ValueError:
    return ValueError(
        f"{shown(storage)}: this storage cannot be used ({reason}). Restore it from a "
        "copy, or begin another sweep with another --workdir and, if you pass one, "
        "another --storage."
    )


def sqlite_url(file: Path) -> str:
    """Returns the URL of an SQLite file, whatever characters its path has.

    In a plain URL some would end the path or be decoded, and Optuna replaces what is in
    braces. SQLite's own URIs quote them.
    """
    if not set("?#%{}") & set(str(file)):
        return f"sqlite:///{file}"
    uri = file.absolute().as_uri()
    return sqlalchemy.URL.create(
        "sqlite", database=uri, query={"uri": "true"}
    ).render_as_string()


def shown(storage: str) -> str:
    """Returns the storage's URL or path for messages, without its password."""
    try:
        url = sqlalchemy.make_url(storage).render_as_string(hide_password=True)
        return cli.without_passwords(url)
    except sqlalchemy.exc.ArgumentError:
        return storage if "@" not in storage else "(a storage with a password)"


def fail_stale(study: optuna.Study) -> None:
    """Fails the running trials whose heartbeat timed out; does nothing in a journal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def close(storage: BaseStorage) -> None:
    """Closes the connections of this process."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


@contextlib.contextmanager
def _one_worker_at_a_time(storage: str) -> Iterator[None]:
    """Holds a server lock, because creating the tables concurrently fails."""
    if not _is_postgresql(storage):
        yield
        return
    options = _engine_options(storage)["connect_args"]
    engine = sqlalchemy.create_engine(
        storage, connect_args=options, poolclass=sqlalchemy.NullPool
    )
    with engine.begin() as connection:
        lock = sqlalchemy.func.pg_advisory_xact_lock(LOCK)
        connection.execute(sqlalchemy.select(lock))
        yield


def _is_postgresql(storage: str) -> bool:
    return sqlalchemy.make_url(storage).get_backend_name() == "postgresql"


def _engine_options(storage: str) -> dict[str, Any]:
    if not _is_postgresql(storage):
        return {}
    return {
        # A sweep of many workers must not fill the server's connections.
        "pool_size": 1,
        "max_overflow": 2,
        "pool_pre_ping": True,
        "connect_args": {
            "connect_timeout": 10,
            "tcp_user_timeout": 30_000,  # ms, in case the network fails silently
            # Heartbeats are stored without a time zone: an hour of daylight saving
            # time would make every trial stale. And a worker that is suspended or
            # loses power inside a transaction must not keep its locks.
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60s",
        },
    }


class Patience:
    """Retries calls that failed because the storage did not answer."""

    def __init__(self, storage: str, seconds: float) -> None:
        """Stores the storage, for messages, and how long to retry, in seconds."""
        self._storage, self._shown = storage, shown(storage)
        self._seconds = seconds

    def __call__(self, call: Callable[[], T]) -> T:
        """Returns the result of a call, which must be safe to repeat.

        Raises:
            ConnectionError: if the storage does not answer in time.
            ValueError: if it is damaged, or is not the storage of a study.
        """
        start, pause = time.monotonic(), 0.1
        while True:
            try:
                return call()
            except Exception as error:
                reason = _outage(error)
                if reason is None:
                    if damage := _reason(error, DAMAGE):
                        raise _unusable(self._storage, damage) from None
                    raise
                waited = time.monotonic() - start
                if waited >= self._seconds:
                    raise ConnectionError(
                        f"{self._shown} did not answer for {waited:.0f} s ({reason}). "
                        "Run the same command again to resume."
                    ) from None
                if pause == 0.4:  # do not report momentary outages
                    console.say(f"{self._shown}: {reason}; retrying")
            # A random wait, so that workers do not all retry at the same instant.
            time.sleep(min(pause, self._seconds - waited) * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE_S)


def _outage(error: Exception) -> str | None:
    """Returns the reason in one line if the error is an outage of the storage."""
    cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None)
    if getattr(cause, "sqlite_errorname", "").startswith(LASTING):
        return None
    return _reason(error, OUTAGES)


def _reason(error: Exception, kinds: tuple[type[Exception], ...]) -> str | None:
    """Returns the reason in one line if the error is of one of these kinds."""
    # Optuna wraps errors that occur inside a transaction.
    for found in (error, error.__cause__):
        if isinstance(found, kinds):
            cause = getattr(found, "orig", None) or found
            return str(cause).strip().partition("\n")[0]
    return None


class Heartbeat:
    """A thread that sends the heartbeats of the held trials."""

    def __init__(
        self,
        storage: BaseStorage,
        held: Callable[[], Iterable[int]],
        heartbeat_s: float,
    ) -> None:
        """Starts sending heartbeats for the trial ids that `held` returns."""
        self._storage = storage
        self._held = held
        self._heartbeat_s = heartbeat_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if isinstance(storage, RDBStorage):
            self._thread.start()

    def stop(self) -> None:
        """Stops the heartbeats."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._heartbeat_s):
            for trial_id in self._held():
                try:
                    beat(self._storage, trial_id)
                except Exception as error:
                    # The worker's next call encounters the outage and reports it.
                    if _outage(error) is None:
                        raise
        close_session(self._storage)


def beat(storage: BaseStorage, trial_id: int) -> None:
    """Sends one heartbeat of a trial."""
    if isinstance(storage, RDBStorage):
        storage.record_heartbeat(trial_id)


def close_session(storage: BaseStorage) -> None:
    """Closes this thread's session of the storage."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
