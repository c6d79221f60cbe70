"""Both databases for tests: `database_url` runs a test on SQLite and on a PostgreSQL started for the session.

The tests of a process use one PostgreSQL database in turn, which is emptied in between.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import psycopg

    from app.config import Settings
    from app.registry import Registry

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
# Nothing here has to survive a power cut.
OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=60")
TEMPLATE = "prepared"
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
EMPTY_COPY = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"  # of a table without rows, in the binary format
TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
SEQUENCES = """
    SELECT quote_ident(sequencename), coalesce(last_value, start_value), last_value IS NOT NULL
    FROM pg_sequences WHERE schemaname = 'public'
"""
# What tests may change besides rows.
STRUCTURE = """
    SELECT
        (SELECT md5(string_agg(concat(oid, relname, relnatts), ',' ORDER BY oid)) FROM pg_class
            WHERE relnamespace = 'public'::regnamespace),
        (SELECT md5(string_agg(concat(attrelid, attname, atttypid, attnotnull), ',' ORDER BY attrelid, attnum))
            FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace),
        (SELECT md5(string_agg(concat(oid, conname), ',' ORDER BY oid)) FROM pg_constraint),
        (SELECT count(*) FROM pg_trigger),
        (SELECT count(*) FROM pg_db_role_setting)
"""
END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_numbers = count(1)


class PostgresServer:
    """A running server that can be reached through a socket in its own folder, without password."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self._folder = folder
        # initdb and postgres refuse to run as root.
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(folder, self._user)
        data = folder / "data"
        initdb = [bin_folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, user=self._user, cwd=folder)
        settings = [part for option in OPTIONS for part in ("-c", option)]
        self._command = [bin_folder / "postgres", "-D", data, "-k", folder, *settings]
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again, and wait until it responds."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, user=self._user, cwd=self._folder, stderr=log, preexec_fn=end_with_parent
            )
        self._wait()

    def stop_at_once(self) -> None:
        """End it as `pg_ctl stop -m immediate` does: it recovers at the next start."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def url(self, database: str) -> str:
        """Return the URL of one of its databases, as in DATABASE_URL."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect to one of its databases, without transactions."""
        import psycopg

        return psycopg.connect(host=str(self._folder), user="postgres", dbname=database, autocommit=True)

    def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        with self.connect() as connection:
            connection.execute(statement)

    def stop(self) -> None:
        """Stop it, even with open connections."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> None:
        import psycopg

        deadline = time.monotonic() + 60
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return


class SharedDatabase:
    """A database that tests use in turn, each time in the state after a first start."""

    NAME = "shared"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        server.execute(f"CREATE DATABASE {self.NAME} TEMPLATE {TEMPLATE}")
        with server.connect(self.NAME) as connection:
            self._structure = connection.execute(STRUCTURE).fetchone()
            names = [name for (name,) in connection.execute(TABLES)]
            copies = {name: _copy_out(connection, name) for name in names}
            sequences = list(connection.execute(SEQUENCES))
        # A copy without rows has a header and a trailer only.
        self._rows = {name: copy for name, copy in copies.items() if len(copy) > len(EMPTY_COPY)}
        self._empty = "; ".join(
            [
                "SET session_replication_role = replica",  # without checks of foreign keys
                "SET lock_timeout = '30s'",
                *(f"DELETE FROM {name}" for name in names),
                *(f"SELECT setval('{name}', {value}, {is_called})" for name, value, is_called in sequences),
            ]
        )

    @property
    def url(self) -> str:
        """Return its URL, as in DATABASE_URL."""
        return self._server.url(self.NAME)

    def reset(self) -> None:
        """Restore its rows, or the whole database if a test has changed more than rows."""
        with self._server.connect(self.NAME) as connection:
            connection.execute(END_OTHERS)
            is_intact = connection.execute(STRUCTURE).fetchone() == self._structure
            if is_intact:
                self._restore_rows(connection)
        if not is_intact:
            self._server.execute(f"DROP DATABASE {self.NAME} WITH (FORCE)")
            self.__init__(self._server)  # type: ignore[misc]

    def _restore_rows(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            connection.execute(self._empty)
            for name, content in self._rows.items():
                with connection.cursor().copy(f"COPY {name} FROM STDIN (FORMAT binary)") as copy:
                    copy.write(content)


def _copy_out(connection: psycopg.Connection[Any], name: str) -> bytes:
    with connection.cursor().copy(f"COPY {name} TO STDOUT (FORMAT binary)") as copy:
        return b"".join(bytes(part) for part in copy)


def end_with_parent() -> None:
    """Let Linux end this process when the tests are killed and cannot do so themselves."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests; the tests that need it are skipped if its programs are missing."""
    with own_postgres_server() as server:
        yield server


@contextmanager
def own_postgres_server() -> Iterator[PostgresServer]:
    """Run a server until the end of the block; it may be stopped and started meanwhile."""
    if not PROGRAMS:
        pytest.skip("no PostgreSQL server programs below /usr/lib/postgresql")
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        server = PostgresServer(folder, PROGRAMS[-1].parent)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def prepared_postgres(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory, installed: Registry
) -> PostgresServer:
    """The server with a template in the state after a first start, created once: that takes most of a start."""
    from applications import ADMIN_PASSWORD, prepare_database

    from app.config import Settings

    postgres_server.execute(f"CREATE DATABASE {TEMPLATE}")
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("prepared"),
        database_url=postgres_server.url(TEMPLATE),
        admin_password=ADMIN_PASSWORD,
        run_jobs=False,
        testing=True,
    )
    prepare_database(settings, installed)
    return postgres_server


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of an empty PostgreSQL database."""
    name = f"empty{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    return postgres_server.url(name)


@pytest.fixture(scope="session")
def shared_postgres(prepared_postgres: PostgresServer) -> SharedDatabase:
    """The PostgreSQL database of this process."""
    return SharedDatabase(prepared_postgres)


@pytest.fixture
def postgres_url(shared_postgres: SharedDatabase) -> str:
    """The URL of a PostgreSQL database in the state after a first start."""
    shared_postgres.reset()
    return shared_postgres.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The value of DATABASE_URL in a test that runs on both databases."""
    url: str = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return url


@pytest.fixture
def settings_of_each_database(data_dir: Path, database_url: str) -> Settings:
    """Settings for both databases; a module that runs on both overrides `settings` with them."""
    from applications import ADMIN_PASSWORD

    from app.config import Settings

    return Settings(
        data_dir=data_dir, database_url=database_url, admin_password=ADMIN_PASSWORD, run_jobs=False, testing=True
    )
