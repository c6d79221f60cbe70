"""Exact caching: a value lives just as long as the database has not changed.

SQLite tells by `PRAGMA data_version`, which moves with every commit of another connection, in this process or any
other, so one connection that never writes can watch. On Linux we look where SQLite itself looks to answer that: at the
header of the wal-index, which every commit rewrites (https://www.sqlite.org/walformat.html, section 2.1) and which
is mapped into our memory as long as the watching connection is open. Eight threads that each give up the interpreter's
lock for the PRAGMA, one after the other, took a quarter of the rate of `/api/summary`. PostgreSQL tells by its
snapshot: while its text is the same, what is visible is the same.
"""

import ctypes
import os
import sqlite3
import struct
import threading
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, TypeVar, cast

from flask import current_app, has_request_context, request
from sqlalchemy import Engine, text

from app.core.db.extensions import db

Value = TypeVar("Value")

ENTRIES_KEPT = 512
# The header stands there twice, 48 bytes each; its first four tell the version of the format.
WAL_INDEX_HEADER_BYTES = 96
WAL_INDEX_VERSION = 3007000
REQUEST_STATE = "duplistatus.database_state"


class Watcher:
    """Says of one database, cheaply and from any thread, which state it is in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._wal_index: int | None = None
        if engine.dialect.name == "sqlite":
            path = engine.url.database or ""
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            self._wal_index = _wal_index_address(path)

    def state(self) -> object:
        """A value that differs from every earlier one if anything was committed in between."""
        if self._wal_index is not None:
            return ctypes.string_at(self._wal_index, WAL_INDEX_HEADER_BYTES)
        if self._connection is None:
            with self._engine.connect() as connection:
                return connection.scalar(text("SELECT pg_current_snapshot()::text"))
        with self._lock:
            return self._connection.execute("PRAGMA data_version").fetchone()[0]

    def rows(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        """What a small statement without parameters gives now; for SQLite without the cost of a transaction."""
        if self._connection is None:
            with self._engine.connect() as connection:
                return tuple(tuple(row) for row in connection.execute(text(statement)))
        with self._lock:
            return tuple(self._connection.execute(statement).fetchall())

    def close(self, *, is_quiet: bool = False) -> None:
        """Let go of the database, before its file is replaced.

        Where threads may be looking at its shared memory, which they do not once all `is_quiet`, the connection stays
        open, and the memory with it: the old file lives on without a name until the process ends.
        """
        if self._connection is not None and (is_quiet or self._wal_index is None):
            self._wal_index = None
            self._connection.close()


def _wal_index_address(path: str) -> int | None:
    """Where the wal-index of an open database lies in our memory; None where that cannot be known."""
    name = f"{os.path.realpath(path)}-shm"
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as mappings:
            places = [line.split(maxsplit=5) for line in mappings if line.rstrip().endswith(name)]
    except OSError:
        return None
    for addresses, _access, offset, _device, _inode, file in (place for place in places if len(place) == 6):
        if file.rstrip() == name and int(offset, 16) == 0:
            address = int(addresses.partition("-")[0], 16)
            version, *_rest, flags = struct.unpack("=IIIB", ctypes.string_at(address, 13))
            return address if version == WAL_INDEX_VERSION and flags == 1 else None
    return None


class ExactCache:
    """Values computed from the database, each built once for each state of it."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._state: object = None
        self._entries: dict[Hashable, tuple[Hashable, Any]] = {}
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, build: Callable[[], Value], *, moment: Hashable = None) -> Value:
        """Return the value for `key`, building it if the database or `moment` changed since it was built.

        Give the time that the value depends on as `moment`, rounded as coarsely as the value allows. Several
        threads that miss at once wait for one that builds.
        """
        found = self._find(key, moment)
        if found is not None:
            return cast(Value, found[0])
        if db.session.info.get("writes"):
            return build()  # may hold what is not committed yet
        with self._builder_lock(key):
            found = self._find(key, moment)
            if found is not None:
                return cast(Value, found[0])
            if db.session().in_transaction():
                # A snapshot taken earlier in this request may be older than the state that the value is filed under.
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
        """Ask once for each request: what was committed before it came is seen, and nothing is asked twice."""
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

    def close(self, *, is_quiet: bool = False) -> None:
        """Forget everything and let go of the database; see `Watcher.close`."""
        with self._lock:
            self._entries.clear()
            self._state = None
        self._watcher.close(is_quiet=is_quiet)


def cache() -> ExactCache:
    """The cache of the running application."""
    found: ExactCache | None = current_app.extensions.get("duplistatus.cache")
    if found is None:
        found = current_app.extensions.setdefault("duplistatus.cache", ExactCache(Watcher(db.engine)))
    return found


def forget_state() -> None:
    """Have the rest of this request see what it has just committed itself."""
    if has_request_context():
        request.environ.pop(REQUEST_STATE, None)


def second_of(now: datetime) -> int:
    """The whole second of an instant: the `moment` of answers that tell how much time has passed."""
    return int(now.timestamp())
