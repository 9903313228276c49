"""Where a study is kept: opened by URL or path, patient with short outages."""

import contextlib
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

from mrm_jax.runtime import console

T = TypeVar("T")

JOURNALS = (".journal", ".log")
FORMS = "postgresql://USER@HOST/DATABASE, sqlite:///FILE or FILE.journal"
OUTAGES = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    sqlalchemy.exc.PendingRollbackError,  # Optuna's second try after one of these
)
LONGEST_PAUSE_S = 5.0
LOCK = 0x6D726D6A6178  # any number that other programs on the server do not take


def open_storage(storage: str, heartbeat_s: int, timeout_s: int) -> BaseStorage:
    """Opens a database, with heartbeats, or a journal, which has none.

    Args:
        storage: in one of FORMS.
        beat_s: how often a heartbeat is to come.
        grace_s: after which silence a trial is stale.

    Raises:
        ValueError: if it has another form, or its driver is not installed.
        sqlalchemy.exc.DBAPIError: if the database does not answer, or refuses.
        OSError: if the journal cannot be made.
    """
    if storage.endswith(JOURNALS) and "://" not in storage:
        Path(storage).parent.mkdir(parents=True, exist_ok=True)
        return journal.JournalStorage(journal.JournalFileBackend(storage))
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
            f"{shown(storage)}: its driver is not installed; the one of plain "
            "postgresql:// comes with: pip install 'mrm_jax[sweep]'"
        ) from error
    except sqlalchemy.exc.ArgumentError as error:
        raise ValueError(
            f"{shown(storage)}: expected a storage such as {FORMS}"
        ) from error


def shown(storage: str) -> str:
    """Returns the storage as it may be printed: without a password."""
    try:
        return sqlalchemy.make_url(storage).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return storage if "@" not in storage else "(a storage with a password)"


def fail_stale(study: optuna.Study) -> None:
    """Fails the running trials whose heartbeat stopped; nothing in a journal."""
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
    """Holds a lock of the server, as two workers that make its tables at once fail."""
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
            "tcp_user_timeout": 30_000,  # ms, where the network is gone silently
            # Heartbeats are stored without a zone: one hour off where clocks are set
            # to summer time would make every trial stale. And who is suspended or
            # loses power inside a transaction must not keep its locks.
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60s",
        },
    }


class Patience:
    """Calls again what failed because the storage did not answer."""

    def __init__(self, storage: str, seconds: float) -> None:
        """Takes the storage, for messages, and how long to try."""
        self._shown = shown(storage)
        self._seconds = seconds

    def __call__(self, call: Callable[[], T]) -> T:
        """Returns what call returns, which must bear to be called again.

        Raises:
            ConnectionError: if the storage did not answer for all that time.
        """
        start, pause = time.monotonic(), 0.1
        while True:
            try:
                return call()
            except Exception as error:
                reason = _outage(error)
                if reason is None:
                    raise
                waited = time.monotonic() - start
                if waited >= self._seconds:
                    raise ConnectionError(
                        f"{self._shown} did not answer for {waited:.0f} s ({reason}); "
                        "run the same command again when it is back"
                    ) from None
                if pause == 0.4:  # not for what is over in an instant
                    console.say(f"{self._shown}: {reason}; trying again")
            # Not all workers at the same instant.
            time.sleep(min(pause, self._seconds - waited) * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE_S)


def _outage(error: Exception) -> str | None:
    """Returns the reason in one line, if the error is an outage of the storage."""
    # Optuna wraps what happens inside a transaction.
    for found in (error, error.__cause__):
        if isinstance(found, OUTAGES):
            cause = getattr(found, "orig", None) or found
            return str(cause).strip().partition("\n")[0]
    return None


class Heartbeat:
    """A thread that records, every few seconds, that the held trials are alive."""

    def __init__(
        self,
        storage: BaseStorage,
        held: Callable[[], Iterable[int]],
        heartbeat_s: float,
    ) -> None:
        """Starts beating for the trial ids that held returns."""
        self._storage = storage
        self._held = held
        self._beat_s = heartbeat_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if isinstance(storage, RDBStorage):
            self._thread.start()

    def stop(self) -> None:
        """Stops beating."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._beat_s):
            for trial_id in self._held():
                try:
                    beat(self._storage, trial_id)
                except Exception as error:
                    # The worker itself meets an outage at its next call, and says so.
                    if _outage(error) is None:
                        raise
        close_session(self._storage)


def beat(storage: BaseStorage, trial_id: int) -> None:
    """Records that a trial is alive."""
    if isinstance(storage, RDBStorage):
        storage.record_heartbeat(trial_id)


def close_session(storage: BaseStorage) -> None:
    """Closes what this thread holds of the storage."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
