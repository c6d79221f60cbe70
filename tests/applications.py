"""Applications of tests: shared ones that are reset between tests, and shared parts.

`SharedApplications` keeps one application for each set of settings and plugins, since creating one takes 30 ms. The
compiled routes, statements and templates are used by every application of the process, also those that a test creates.
Importing this module takes a second: `conftest.py` imports it when the first fixture needs it.
"""

import contextvars
import shutil
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import argon2
from descriptions import check_answer
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import Compiled

from app.accounts import passwords
from app.accounts.sessions import SESSION_COOKIE
from app.audit.log import AuditEntry
from app.config import Settings
from app.core import logs
from app.core.db import engine, orm
from app.core.db.engine import close
from app.core.db.orm import writing
from app.database import inspection
from app.factory import create_app
from app.plugin.http import use_proxies
from app.plugin.testing.applications import ADMIN_PASSWORD
from app.registry import Registry
from app.runtime import runtime_of
from app.web.http import Address, RequestCounts

__all__ = ["ADMIN_PASSWORD", "Client", "SharedApplications", "close", "hashing_by", "new_application"]

# Compiled parts of a route.
COMPILED = ("arguments", "_parts", "_trace", "_converters", "_build", "_build_unknown")
APPLICATIONS_KEPT = 6
# What was done to a database since the first start: names of fillings, and the times of sign-ins.
Steps = tuple[str | datetime, ...]
PROGRAM_HASHER = passwords.hasher
QUICK_HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Client(FlaskClient):
    """A browser with its cookies, which can fetch CSRF tokens and sign in.

    Each request runs in its own context, as under a real server: a test with an open application context would
    otherwise share its database session and its signed-in user with the request.
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Send one request; fail unless the API description contains the response."""
        return contextvars.Context().run(lambda: self._open_checked(*args, **kwargs))

    def _open_checked(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().open(*args, **kwargs)
        check_answer(self.application, answer)
        return answer

    def csrf_headers(self) -> dict[str, str]:
        """Return the header that a changing request needs, fetched once for each session and time."""
        token = self.tokens.get(self._session_and_time())
        if token is None:
            token = self.get("/api/csrf").get_json()["token"]
            if self.get_cookie(SESSION_COOKIE) is not None:
                self.tokens[self._session_and_time()] = token
        return {"X-CSRF-Token": token}

    @cached_property
    def tokens(self) -> dict[tuple[str | None, datetime], str]:
        """The tokens that were fetched, by session and time."""
        return {}

    def _session_and_time(self) -> tuple[str | None, datetime]:
        cookie = self.get_cookie(SESSION_COOKIE)
        return cookie and cookie.value, runtime_of(self.application).clock()

    def send(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a changing request with its token."""
        return self.open(path, method=method, headers=self.csrf_headers(), **kwargs)

    def sign_in(self, username: str = "admin", password: str = ADMIN_PASSWORD) -> Any:
        """Sign in and return the response."""
        return self.send("POST", "/api/auth/login", json={"username": username, "password": password})


@dataclass(frozen=True)
class SignedIn:
    """The database as the administrator's first sign-in leaves it, and the cookie that the browser got."""

    database: bytes
    cookie: str
    tokens: dict[tuple[str | None, datetime], str]


class Prepared:
    """SQLite databases in the state after a first start, created once for each initial password."""

    def __init__(self, make_folder: Callable[[], Path], registry: Registry) -> None:
        self._make_folder, self._registry = make_folder, registry
        self._paths: dict[str, Path] = {}

    def __call__(self, settings: Settings) -> Path:
        """Return the file for the initial password of `settings`."""
        password = settings.admin_password
        if password not in self._paths:
            folder = self._make_folder()
            prepare_database(replace(settings, data_dir=folder, database_url=""), self._registry)
            self._paths[password] = folder / "duplistatus.db"
        return self._paths[password]


def new_application(settings: Settings, registry: Registry, prepared: Prepared) -> Flask:
    """Create an application with a prepared database; the caller closes it."""
    settings.data_dir.mkdir(exist_ok=True)
    if not settings.database_url:
        shutil.copy(prepared(settings), settings.data_dir)
    app = create_app(settings, registry)
    app.test_client_class = Client
    app.jinja_env.bytecode_cache = COMPILED_TEMPLATES
    return app


@dataclass(frozen=True)
class Kept:
    """An application with its state and all its files before the first use."""

    app: Flask
    registry: Registry  # kept alive, since its plugins are compared by identity
    attributes: dict[str, Any]
    config: dict[str, Any]
    extensions: dict[str, Any]
    runtime: dict[str, Any]
    parts: dict[type, Any]
    files: dict[str, tuple[bytes, int]]
    signed_in: dict[Steps, SignedIn] = field(default_factory=dict)
    filled: dict[Steps, tuple[bytes, Any]] = field(default_factory=dict)  # the database, and what `fill` gave

    def reset(self) -> None:
        """Undo what the last test did to the application, and restore its files; see `database.hold`."""
        runtime = runtime_of(self.app)
        settings: Settings = self.runtime["config"]
        vars(self.app).update(self.attributes)
        for present, first in ((self.app.config, self.config), (self.app.extensions, self.extensions)):
            present.clear()
            present.update(first)
        vars(runtime).update(self.runtime | {"_parts": dict(self.parts)})
        runtime.part(RequestCounts).__init__()
        settings.data_dir.mkdir(mode=0o700, exist_ok=True)
        for log in settings.data_dir.glob("duplistatus.db-*"):  # SQLite would treat it as that of the new file
            log.unlink()
        for name, (content, mode) in self.files.items():
            path = settings.data_dir / name
            path.unlink(missing_ok=True)
            path.write_bytes(content)
            path.chmod(mode)
        use_proxies(settings.uses_proxies)
        logs.configure(settings)
        engine.mark_open(self.app, settings)


class SharedApplications:
    """The applications of this process, by settings and plugins; each use gets one in the state after its first start.

    They share one data folder, whose files are those of the application in use.
    """

    def __init__(self, data_dir: Path, prepared: Prepared) -> None:
        self._data_dir, self._prepared = data_dir, prepared
        self._kept: OrderedDict[Any, Kept] = OrderedDict()
        self._database = data_dir / "duplistatus.db"
        self._steps: Steps = ()  # what the unopened database has instead of that of a first start

    @contextmanager
    def lend(self, settings: Settings, registry: Registry) -> Iterator[Flask]:
        """Return an application for one test: a shared one, or a new one for another data folder or PostgreSQL.

        A shared application on PostgreSQL sometimes kept connections and delivery states of earlier tests.
        """
        if settings.data_dir == self._data_dir and not settings.run_jobs and not settings.database_url:
            app = self._find(settings, registry)
        else:
            app = new_application(settings, registry, self._prepared)
        try:
            yield app
        finally:
            close(app)

    def signed_in_client(self, app: Flask) -> Client:
        """Return a client of the administrator, who signs in.

        The first sign-in to a shared application is done once for each time of the clock. Later ones take the
        database of the first one, unless that of the test has been opened: that takes 1 ms instead of 15 ms.
        """
        client: Client = app.test_client()
        kept, step = self._unopened(app), (*self._steps, runtime_of(app).clock())
        if kept is not None and step in kept.signed_in:
            self._replace(kept.signed_in[step].database, step)
            client.set_cookie(SESSION_COOKIE, kept.signed_in[step].cookie)
            client.tokens.update(kept.signed_in[step].tokens)
            return client
        assert client.sign_in().status_code == 200
        if kept is not None:
            client.csrf_headers()  # the session keeps the token that the sign-in needed
            cookie = client.get_cookie(SESSION_COOKIE).value
            kept.signed_in[step] = SignedIn(self._content(), cookie, dict(client.tokens))
        return client

    def fill_once(self, app: Flask, name: str, fill: Callable[[], Any]) -> Any:
        """Fill the database by `fill`, which depends on nothing else, and return what it gives.

        This is done once for each shared application, as signing in. Nothing else that `fill` does is kept.
        """
        kept, step = self._unopened(app), (*self._steps, name)
        if kept is not None and step in kept.filled:
            database, given = kept.filled[step]
            self._replace(database, step)
            return deepcopy(given)
        given = fill()
        if kept is not None:
            kept.filled[step] = self._content(), deepcopy(given)
        return given

    def _unopened(self, app: Flask) -> Kept | None:
        """What is kept of an application, if its database has not been opened in this test."""
        if self._database.with_name("duplistatus.db-wal").exists():
            return None
        return next((kept for kept in self._kept.values() if kept.app is app), None)

    def _content(self) -> bytes:
        with closing(sqlite3.connect(self._database)) as connection:
            return connection.serialize()

    def _replace(self, database: bytes, steps: Steps) -> None:
        self._database.write_bytes(database)
        self._steps = steps

    def _find(self, settings: Settings, registry: Registry) -> Flask:
        key = (settings, _plugins(registry))
        if key not in self._kept:
            self._kept[key] = self._create(settings, registry)
        self._kept.move_to_end(key)
        while len(self._kept) > APPLICATIONS_KEPT:
            self._kept.popitem(last=False)
        self._kept[key].reset()
        self._steps = ()
        return self._kept[key].app

    def _create(self, settings: Settings, registry: Registry) -> Kept:
        app = new_application(settings, registry, self._prepared)
        close(app)
        _fold_in(settings)
        files = {path.name: path for path in settings.data_dir.iterdir() if path.is_file()}
        # From here on `@app.get` fails: a test that changes the routes needs its own application.
        app._got_first_request = True
        return Kept(
            app,
            registry,
            dict(vars(app)),
            dict(app.config),
            dict(app.extensions),
            dict(vars(runtime_of(app))),
            {kind: part for kind, part in runtime_of(app)._parts.items() if kind is not engine.ServingLock},
            {name: (path.read_bytes(), path.stat().st_mode & 0o777) for name, path in files.items()},
        )


def _plugins(registry: Registry) -> tuple[Any, ...]:
    kinds = (registry.api_groups, registry.channels, registry.chart_providers, registry.settings_pages)
    return (*(tuple((name, id(plugin)) for name, plugin in kind.items()) for kind in kinds), registry.broken)


def _fold_in(settings: Settings) -> None:
    """Write the write-ahead log into the SQLite file; `database.hold` keeps the database open."""
    if not settings.database_url:
        with closing(sqlite3.connect(settings.data_dir / "duplistatus.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def prepare_database(settings: Settings, registry: Registry) -> None:
    """Create a database in the state after a first start, without its audit entry: many tests count entries."""
    app = create_app(settings, registry)
    with app.app_context(), writing() as session:
        session.query(AuditEntry).delete()
    close(app)
    _fold_in(settings)


class CompiledTemplates(BytecodeCache):
    """Compiled templates."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load the stored template if its source is the same."""
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store a template."""
        self._compiled[bucket.key] = bucket.bytecode_to_string()


class CompiledStatements(dict[Any, Compiled]):
    """Compiled statements by the name of the dialect: engines have dialect objects of their own, all set up alike."""

    def get(self, key: tuple[Dialect, ...], default: Compiled | None = None) -> Compiled | None:
        """Return a statement compiled before, for this engine or another one."""
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: tuple[Dialect, ...], compiled: Compiled) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


def share_statements() -> None:
    """Let the engines of all applications share compiled statements, and mapped objects too."""
    compiled = CompiledStatements()
    orm.db._engine_options["execution_options"] = {"compiled_cache": compiled}
    for mapper in orm.db.Model.registry.mappers:
        mapper._compiled_cache = compiled


def share_addresses() -> None:
    """Let all applications parse and build URLs with the same expressions."""
    compile_anew = Address.compile
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}

    def compile_once(self: Address) -> None:
        defaults = frozenset((self.defaults or {}).items())
        key = (self.rule, self.subdomain, self.host, self.merge_slashes, defaults, *self.map.converters.values())
        if key not in kept:
            compile_anew(self)
            kept[key] = {name: getattr(self, name) for name in COMPILED}
        vars(self).update(kept[key])

    Address.compile = compile_once  # type: ignore[method-assign]


def share_migrated_files() -> None:
    """Migrate an empty SQLite file once for each revision; restoring begins with such a file each time."""
    migrate = inspection.migrate
    kept: dict[str, bytes] = {}

    def migrate_once(path: Path, revision: str) -> None:
        if path.exists() and path.stat().st_size:
            return migrate(path, revision)
        if revision not in kept:
            migrate(path, revision)
            with closing(sqlite3.connect(path)) as connection:
                kept[revision] = connection.serialize()
        else:
            path.write_bytes(kept[revision])
        return None

    inspection.migrate = migrate_once


@contextmanager
def hashing_by(hasher: argon2.PasswordHasher) -> Iterator[None]:
    """Hash passwords with `hasher` until the end of the block."""
    before, passwords.hasher = passwords.hasher, hasher
    passwords.dummy_hash.cache_clear()
    try:
        yield
    finally:
        passwords.hasher = before
        passwords.dummy_hash.cache_clear()


COMPILED_TEMPLATES = CompiledTemplates()
share_addresses()
share_statements()
share_migrated_files()
# Thousands of tests sign in; see `real_hashing`.
passwords.hasher = QUICK_HASHER
