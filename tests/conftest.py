"""Fixtures for every test: an application with a fresh database, signed-in clients, and a clock that can be set.

Fixtures import what they need when they are used, so that tests of pure functions load neither Flask nor plugins.
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from applications import Client, Prepared, SharedApplications
    from flask import Flask
    from flask_sqlalchemy import SQLAlchemy

    from app.config import Settings
    from app.registry import Registry

# Where Linux keeps files in memory; containers often have 64 MB there.
MEMORY = Path("/dev/shm")
LEAST_SPACE_BYTES = 1 << 30

pytest_plugins = ("databases", "report_fixtures", "app.plugin.testing.fixtures")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need, so that `-m` can leave them out; see the targets of the Makefile."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker("browser")
        if needs_postgresql(item):
            item.add_marker("postgresql")


def needs_postgresql(item: pytest.Item) -> bool:
    """Return whether a fixture of the test starts a PostgreSQL server."""
    parameters = getattr(item, "callspec", None) and item.callspec.params
    return "postgres_server" in getattr(item, "fixturenames", ()) or "postgresql" in (parameters or {}).values()


def pytest_collection_finish() -> None:
    """Collect garbage less often, and not the collected tests: that took a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 100)


class Clock:
    """A clock that is stopped until it is advanced; calling it returns the time."""

    def __init__(self) -> None:
        self.now = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> datetime:
        """Advance by arguments of `timedelta`, and return the new time."""
        self.now += timedelta(**duration)
        return self.now


@pytest.fixture
def real_hashing() -> Iterator[None]:
    """Hash passwords as the program does."""
    from applications import PROGRAM_HASHER, hashing_by

    with hashing_by(PROGRAM_HASHER):
        yield


@pytest.fixture(scope="session")
def shared_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder that the tests of this process use in turn.

    In memory if there is enough space. On a disk, writing the files took as long as the rest of a test.
    """
    has_space = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= LEAST_SPACE_BYTES
    if not has_space:
        yield tmp_path_factory.getbasetemp() / "data"
        return
    with TemporaryDirectory(prefix="duplistatus-tests-", dir=MEMORY) as folder:
        yield Path(folder) / "data"


@pytest.fixture
def data_dir(shared_data_dir: Path) -> Path:
    """A data folder that does not exist yet."""
    shutil.rmtree(shared_data_dir, ignore_errors=True)
    return shared_data_dir


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Settings of a deployment on SQLite; override in a module to test other ones."""
    from applications import ADMIN_PASSWORD

    from app.config import Settings

    return Settings(data_dir=data_dir, admin_password=ADMIN_PASSWORD, run_jobs=False, testing=True)


@pytest.fixture
def clock() -> Clock:
    """The clock of `app`."""
    return Clock()


@pytest.fixture(scope="session")
def installed() -> Registry:
    """The plugins that are installed, loaded once."""
    import applications  # noqa: F401 (before any application is created)

    from app.registry import discover

    return discover()


@pytest.fixture
def registry(installed: Registry) -> Registry:
    """The plugins of `app`; override it to add some."""
    return installed


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, installed: Registry) -> Prepared:
    """Return a SQLite database in the state after a first start: `prepared(settings)` returns its path."""
    from applications import Prepared

    return Prepared(lambda: tmp_path_factory.mktemp("prepared"), installed)


@pytest.fixture(scope="session")
def shared_applications(shared_data_dir: Path, prepared: Prepared) -> SharedApplications:
    """The applications of this process."""
    from applications import SharedApplications

    return SharedApplications(shared_data_dir, prepared)


@pytest.fixture
def app(
    settings: Settings, clock: Clock, registry: Registry, shared_applications: SharedApplications
) -> Iterator[Flask]:
    """An application with a fresh database and the administrator `admin`, without an active context.

    It is shared with other tests and reset in between: a test that adds routes overrides this with `own_app`.
    """
    from app.runtime import runtime_of

    with shared_applications.lend(settings, registry) as app:
        runtime_of(app).clock = clock
        yield app


@pytest.fixture
def own_app(settings: Settings, clock: Clock, registry: Registry, prepared: Prepared) -> Iterator[Flask]:
    """The same, but an application of the test itself, which it may change."""
    from applications import close, new_application

    from app.runtime import runtime_of

    app = new_application(settings, registry, prepared)
    runtime_of(app).clock = clock
    yield app
    close(app)


@pytest.fixture
def db(app: Flask) -> Iterator[SQLAlchemy]:
    """The database, within an application context that lasts as long as the test."""
    from app.core.db import orm

    with app.app_context():
        yield orm.db


@pytest.fixture
def client(app: Flask) -> Client:
    """A visitor who is not signed in."""
    return app.test_client()


@pytest.fixture
def admin(app: Flask, shared_applications: SharedApplications) -> Client:
    """A signed-in administrator who need not change the password."""
    return shared_applications.signed_in_client(app)
