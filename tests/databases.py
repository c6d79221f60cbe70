"""Both databases for tests: `database_url` runs a test on SQLite and on a PostgreSQL started for the session."""

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
from dataclasses import replace
from itertools import count
from pathlib import Path

import psycopg
import pytest
from applications import prepare_database

from app.config import Settings
from app.registry import Registry

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
# Nothing here has to outlive a power cut.
OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=60")
TEMPLATE = "prepared"
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
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
        """Start it, for the first time or again, and wait until it answers."""
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
        """The address of one of its databases, as DATABASE_URL takes it."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        with psycopg.connect(host=str(self._folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def stop(self) -> None:
        """End it, whoever is still connected."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> None:
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


def end_with_parent() -> None:
    """Have Linux end this process when the tests are killed and cannot do so themselves."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests; the tests that need it are skipped where its programs are missing."""
    with own_postgres_server() as server:
        yield server


@contextmanager
def own_postgres_server() -> Iterator[PostgresServer]:
    """A server for as long as the block lasts, which may be stopped and started meanwhile."""
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
    """The server with a template as a first start leaves it, made once: that takes most of a start."""
    postgres_server.execute(f"CREATE DATABASE {TEMPLATE}")
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("prepared"),
        database_url=postgres_server.url(TEMPLATE),
        admin_password="Correct7Horse",
        run_jobs=False,
        testing=True,
    )
    prepare_database(settings, installed)
    return postgres_server


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> str:
    """An address of a PostgreSQL database in which nothing was ever made."""
    name = f"empty{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    return postgres_server.url(name)


@pytest.fixture
def postgres_url(prepared_postgres: PostgresServer) -> str:
    """An address of a PostgreSQL database as a first start leaves it."""
    name = f"test{next(_numbers)}"
    prepared_postgres.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return prepared_postgres.url(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """What DATABASE_URL says in a test that runs on both databases."""
    url: str = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return url


@pytest.fixture
def settings_of_each_database(tmp_path: Path, database_url: str) -> Settings:
    """Settings for both databases; a module that runs on both overrides `settings` with them."""
    sqlite = Settings(data_dir=tmp_path / "data", admin_password="Correct7Horse", run_jobs=False, testing=True)
    return replace(sqlite, database_url=database_url)
