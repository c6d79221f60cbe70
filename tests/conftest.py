"""What every test may use: an application with a fresh database, clients that sign in, and a clock that can be set."""

import contextvars
import gc
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import argon2
import pytest
from applications import CompiledTemplates, close, prepare_database, share_addresses, share_statements
from descriptions import check_answer
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from app import runtime
from app.accounts import passwords
from app.config import Settings
from app.core.db import extensions
from app.factory import create_app
from app.registry import Registry, discover

pytest_plugins = ("databases", "report_fixtures", "app.plugin.testing.fixtures")

ADMIN_PASSWORD = "Correct7Horse"
COMPILED_TEMPLATES = CompiledTemplates()
EARNEST_HASHER = passwords.hasher


def pytest_configure() -> None:
    """Share between applications what is the same in all of them."""
    share_addresses()
    share_statements()


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not among what the tests are made of: that took a third of their time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 100)


class Clock:
    """A clock that stands still until it is moved; calling it tells the time."""

    def __init__(self) -> None:
        self.now = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> datetime:
        """Move on by what `timedelta` understands, and return the new time."""
        self.now += timedelta(**duration)
        return self.now


class Client(FlaskClient):
    """A browser with its cookies, which can fetch CSRF tokens and sign in.

    Each request runs in a context of its own, as under a real server: a test that holds an application context open
    would otherwise share its database session and its signed-in user with the request.
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Send one request; the answer has to be one that the API's description of itself names."""
        return contextvars.Context().run(lambda: self._open_checked(*args, **kwargs))

    def _open_checked(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().open(*args, **kwargs)
        check_answer(self.application, answer)
        return answer

    def csrf_headers(self) -> dict[str, str]:
        """The header that a changing request needs."""
        return {"X-CSRF-Token": self.get("/api/csrf").get_json()["token"]}

    def send(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a changing request with its token."""
        return self.open(path, method=method, headers=self.csrf_headers(), **kwargs)

    def sign_in(self, username: str = "admin", password: str = ADMIN_PASSWORD) -> Any:
        """Sign in and return the answer."""
        return self.send("POST", "/api/auth/login", json={"username": username, "password": password})


@pytest.fixture(scope="session", autouse=True)
def quick_hashing() -> Iterator[None]:
    """Hash passwords with next to no work: thousands of tests sign in. See `earnest_hashing`."""
    with hashing_by(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)):
        yield


@pytest.fixture
def earnest_hashing() -> Iterator[None]:
    """Hash passwords as the program does."""
    with hashing_by(EARNEST_HASHER):
        yield


@contextmanager
def hashing_by(hasher: argon2.PasswordHasher) -> Iterator[None]:
    """Have another hasher for as long as the block lasts."""
    before, passwords.hasher = passwords.hasher, hasher
    passwords.nobodys_hash.cache_clear()
    try:
        yield
    finally:
        passwords.hasher = before
        passwords.nobodys_hash.cache_clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a deployment in a folder of its own; override in a module to test other ones."""
    return Settings(data_dir=tmp_path / "data", admin_password=ADMIN_PASSWORD, run_jobs=False, testing=True)


@pytest.fixture
def clock() -> Clock:
    """The clock of `app`."""
    return Clock()


@pytest.fixture(scope="session")
def installed() -> Registry:
    """The plugins that are installed; looked for once."""
    return discover()


@pytest.fixture
def registry(installed: Registry) -> Registry:
    """The plugins of `app`; override it to add some."""
    return installed


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, installed: Registry) -> Callable[[Settings], Path]:
    """Give a database as a first start leaves it, made once for each initial password: that takes most of a start."""
    made: dict[str, Path] = {}

    def prepare(settings: Settings) -> Path:
        password = settings.admin_password
        if password not in made:
            folder = tmp_path_factory.mktemp("prepared")
            prepare_database(replace(settings, data_dir=folder), installed)
            made[password] = folder / "duplistatus.db"
        return made[password]

    return prepare


@pytest.fixture
def app(settings: Settings, clock: Clock, registry: Registry, prepared: Callable[[Settings], Path]) -> Iterator[Flask]:
    """An application with a fresh database and the administrator `admin`; nobody is in its context."""
    if not settings.database_url:
        settings.data_dir.mkdir(exist_ok=True)
        shutil.copy(prepared(settings), settings.data_dir)
    app = create_app(settings, registry)
    app.extensions[runtime.EXTENSION] = clock
    app.test_client_class = Client
    app.jinja_env.bytecode_cache = COMPILED_TEMPLATES
    yield app
    close(app)


@pytest.fixture
def db(app: Flask) -> Iterator[SQLAlchemy]:
    """The database, within an application context that lasts as long as the test."""
    with app.app_context():
        yield extensions.db


@pytest.fixture
def client(app: Flask) -> Client:
    """A visitor who has not signed in."""
    return app.test_client()


@pytest.fixture
def admin(app: Flask) -> Client:
    """A signed-in administrator who need not change the password."""
    client = app.test_client()
    assert client.sign_in().status_code == 200
    return client
