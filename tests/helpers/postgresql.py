"""A real PostgreSQL server for tests: its own folder, port and user, always stopped."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

SUPERUSER = "mrm"
# Debian keeps the server's programs out of PATH.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parts[-2])


class Server:
    """A server on a free loopback port, removed after the tests."""

    def __init__(self, programs: Path) -> None:
        """Makes an empty cluster.

        Args:
            programs: the folder of initdb, postgres and pg_isready.
        """
        self._programs = programs
        # Not below pytest's folder, which the server's user may not enter.
        self._folder = Path(tempfile.mkdtemp(prefix="mrm_postgresql_"))
        self._log = (self._folder / "log").open("w")
        # PostgreSQL refuses to run as root.
        self._user = _other_user() if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        options = ["-A", "trust", "-U", SUPERUSER, "-E", "UTF8", "--locale=C"]
        self._run("initdb", "-D", "data", "--no-sync", *options)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        words = ["-D", "data", "-k", str(self._folder), "-h", "127.0.0.1", "-F"]
        self._process = self._popen("postgres", *words, "-p", str(self._port))
        deadline = time.monotonic() + 30
        while self._run("pg_isready", "-q", *self._address(), check=False):
            assert self._process.poll() is None, "the server stopped at once"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops the server at once; its clients lose their connections."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stops the server and removes its folder."""
        self.stop()
        self._log.close()
        shutil.rmtree(self._folder)

    def make_database(self, name: str) -> str:
        """Makes a database; returns its URL."""
        self._run("createdb", *self._address(), "-U", SUPERUSER, name)
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self._port}/{name}"

    def _address(self) -> Sequence[str]:
        return ("-h", "127.0.0.1", "-p", str(self._port))

    def _run(self, program: str, *words: str, check: bool = True) -> int:
        status = self._popen(program, *words).wait()
        assert not (check and status), (self._folder / "log").read_text()
        return status

    def _popen(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        user = self._user
        return subprocess.Popen(
            [self._programs / program, *words],
            cwd=self._folder,
            stdout=self._log,
            stderr=self._log,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A running server, shared by all tests; skips if PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    server = Server(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgresql_url(postgresql_server: Server) -> str:
    """The URL of an empty database for one test."""
    return postgresql_server.make_database(f"test_{uuid.uuid4().hex}")


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return DEBIAN[-1] if DEBIAN else None


def _other_user() -> pwd.struct_passwd:
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
