"""Exact caching: values are kept until any process commits to the database.

SQLite reports commits by `PRAGMA data_version` (https://www.sqlite.org/pragma.html#pragma_data_version): its value on
one connection changes when any other connection commits. So one connection that never writes sees every commit.
PostgreSQL reports them by its snapshot: while the text of the snapshot stays the same, so does what is visible.
"""

import sqlite3
import threading
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, TypeVar, cast

from flask import has_request_context, request
from sqlalchemy import Engine, text

from app import runtime
from app.core.db.extensions import db

Value = TypeVar("Value")

ENTRIES_KEPT = 512
REQUEST_STATE = "duplistatus.database_state"


class Watcher:
    """Reads the current state (version) of the database. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if engine.dialect.name == "sqlite":
            path = engine.url.database or ""
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)

    def state(self) -> object:
        """Return a value that changes when anything is committed."""
        if self._connection is None:
            return self.rows("SELECT pg_current_snapshot()::text")
        with self._lock:
            return self._connection.execute("PRAGMA data_version").fetchone()

    def rows(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        """Return the rows of a small statement without parameters.

        For SQLite without a transaction of its own.
        """
        if self._connection is None:
            with self._engine.connect() as connection:
                return tuple(tuple(row) for row in connection.execute(text(statement)))
        with self._lock:
            return tuple(self._connection.execute(statement).fetchall())

    def close(self) -> None:
        """Close the connection; the watcher cannot be used afterwards."""
        if self._connection is not None:
            self._connection.close()


class ExactCache:
    """Values computed from the database, each built once per state of it."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._state: object = None
        self._entries: dict[Hashable, tuple[Hashable, Any]] = {}
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, build: Callable[[], Value], *, moment: Hashable = None) -> Value:
        """Return the value for `key`.

        It is built if the database or `moment` changed since it was built. `moment` is the time that the value
        depends on, rounded as coarsely as the value allows. Several threads that miss at once wait for one that
        builds.
        """
        found = self._find(key, moment)
        if found is not None:
            return cast(Value, found[0])
        if db.session.info.get("writes"):
            return build()  # may contain uncommitted changes
        with self._builder_lock(key):
            found = self._find(key, moment)
            if found is not None:
                return cast(Value, found[0])
            if db.session().in_transaction():
                # A snapshot from earlier in this request may be older than the state that the value is stored under.
                db.session.commit()
            state = self._watcher.state()
            value = build()
            with self._lock:
                if self._state == state:
                    if len(self._entries) >= ENTRIES_KEPT:
                        self._entries.clear()
                    self._entries[key] = (moment, value)
            return value

    def _find(self, key: Hashable, moment: Hashable) -> tuple[Any] | None:
        state = self._state_for_this_request()
        with self._lock:
            if state != self._state:
                self._entries.clear()
                self._state = state
            entry = self._entries.get(key)
        return (entry[1],) if entry is not None and entry[0] == moment else None

    def _state_for_this_request(self) -> object:
        """Return the state, read once per request.

        It includes everything committed before the request.
        """
        if not has_request_context():
            return self._watcher.state()
        environment = request.environ
        state = environment.get(REQUEST_STATE)
        if state is None:
            state = environment[REQUEST_STATE] = self._watcher.state()
        return state

    def _builder_lock(self, key: Hashable) -> threading.Lock:
        with self._lock:
            if len(self._building) >= ENTRIES_KEPT and not any(lock.locked() for lock in self._building.values()):
                self._building.clear()
            return self._building.setdefault(key, threading.Lock())

    def rows(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        """See `Watcher.rows`."""
        return self._watcher.rows(statement)

    def close(self) -> None:
        """Close the connection to the database; the cache cannot be used afterwards."""
        self._watcher.close()


def cache() -> ExactCache:
    """Return the cache of the running application."""
    return runtime.part(ExactCache, lambda: ExactCache(Watcher(db.engine)))


def forget_state() -> None:
    """Make this request's own commits visible to the rest of the request."""
    if has_request_context():
        request.environ.pop(REQUEST_STATE, None)


def second_of(now: datetime) -> int:
    """Return the whole second of an instant.

    It is the `moment` of responses that contain elapsed times.
    """
    return int(now.timestamp())
