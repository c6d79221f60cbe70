"""SQLAlchemy: sessions and connections, exact caching, writing transactions, column types.

The extensions are created unbound here and bound in the factory, so that models can be imported without an application.
"""

import sqlite3
import sys
import threading
import time
import uuid
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import orjson
from flask import g, has_request_context, request
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as BaseSession
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    event,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.exc import TimeoutError as DatabaseTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from app import runtime
from app.core.errors import Refused
from app.core.instants import from_milliseconds, to_milliseconds

# Name of the engine with the one connection for writing.
WRITER = "writer"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Root of all models. Constraints get names, so that migrations can refer to them."""

    metadata = MetaData(naming_convention=NAMING)


class RoutedSession(BaseSession):
    """Uses the one writing connection of SQLite for writing transactions.

    A SQLite connection drops its page cache when another one commits, so writers that alternate on eight connections
    read everything again each time; that cost a fifth of the rate of uploads.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """Return the engine for a statement."""
        writer = db.engines.get(WRITER) if self.info.get("writes") else None
        return writer or super().get_bind(*args, **kwargs)


# Objects stay readable after a commit: services return what they stored, without a second query.
db = SQLAlchemy(model_class=Base, session_options={"class_": RoutedSession, "expire_on_commit": False})
if TYPE_CHECKING:

    class Model(Base):
        """What the type checker sees of `db.Model`, which is created at run time."""

        __abstract__ = True
        __table__: ClassVar[Table]
else:
    Model = db.Model
migrate = Migrate()


@event.listens_for(Engine, "connect")
def prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set SQLite's settings of a connection, and disable automatic BEGIN."""
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    # A checkpoint waits for the disk: one per 16 MB written instead of per 4 MB.
    cursor.execute("PRAGMA wal_autocheckpoint = 4000")
    cursor.execute("PRAGMA cache_size = -2000")  # per connection; the system caches the file anyway
    cursor.close()


@event.listens_for(Engine, "begin")
def begin_sqlite(connection: Connection) -> None:
    """Begin a writing transaction with the write lock.

    So two writers queue instead of failing half-way.
    """
    if connection.dialect.name == "sqlite":
        options = connection.get_execution_options()
        if "wait_s" in options:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(1000 * options['wait_s'])}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")


# Exact caching: values are kept until any process commits to the database.
#
# SQLite reports commits by `PRAGMA data_version` (https://www.sqlite.org/pragma.html#pragma_data_version): its value on
# one connection changes when any other connection commits. So one connection that never writes sees every commit.
# PostgreSQL reports them by its snapshot: while the text of the snapshot stays the same, so does what is visible.

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

    def __del__(self) -> None:
        """Close the connection when no thread uses it any more; Python 3.13 warns of one that is left open."""
        self.close()


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


def discard_state() -> None:
    """Make this request's own commits visible to the rest of the request."""
    if has_request_context():
        request.environ.pop(REQUEST_STATE, None)


def second_of(now: datetime) -> int:
    """Return the whole second of an instant.

    It is the `moment` of responses that contain elapsed times.
    """
    return int(now.timestamp())


# Writing transactions: lock, transaction, and one commit at the end.

# SQLite admits one writer. A thread that waits for our own lock continues at once; that of SQLite sleeps and polls.
_write_lock = threading.RLock()
# Longest wait of a request for its turn to write; reports, which are not sent again, and scheduled work wait longer.
REQUEST_WAIT_S, LONGEST_WAIT_S = 5.0, 30.0
# Wait of a request that has used up its time, by waiting or working.
LEAST_WAIT_S = 1.0
# Key in the WSGI environment: when the request arrived, in seconds of `time.monotonic`.
ARRIVED = "duplistatus.arrived_s"
# Key of writing among the advisory locks of PostgreSQL: like the lock above, but for all processes.
WRITE_LOCK = 0x6475706D
EXCLUSIVE_LOCK = select(func.pg_advisory_xact_lock(WRITE_LOCK))
SHARED_LOCK = select(func.pg_advisory_xact_lock_shared(WRITE_LOCK))
# Settings that this transaction has written; the cache does not contain them before the commit.
WRITTEN = "written_settings"
# Settings as this transaction has read them; nobody else changes them meanwhile, or it need not see that.
READ = "read_settings"


@contextmanager
def writing(*, is_small: bool = False) -> Iterator[Session]:
    """Yield the session within a writing transaction.

    Commit at the end, roll back on an error. Nested use joins the outer transaction, which alone commits.
    Transactions run one after another, so that what one has read stays valid until it writes, and no two wait for
    each other's rows. On PostgreSQL, small ones run in parallel: those that add rows and change at most one job.
    Raise DatabaseTimeout.
    """
    session = db.session()
    if session.info.get("writes"):
        yield session
        return
    with exclusive_writer():
        if session.in_transaction():
            session.commit()  # a reading transaction cannot become a writing one
        session.info["writes"] = True
        try:
            connection = session.connection(execution_options={"writes": True, "wait_s": _longest_wait_s()})
            if connection.dialect.name == "postgresql":
                connection.execute(SHARED_LOCK if is_small else EXCLUSIVE_LOCK)
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info.pop("writes", None)
            session.info.pop(WRITTEN, None)
            session.info.pop(READ, None)
            discard_state()


def renew_lock() -> None:
    """Create a new lock in a forked process.

    A thread of the parent may hold the inherited one.
    """
    global _write_lock
    _write_lock = threading.RLock()


@contextmanager
def exclusive_writer(within_s: float | None = None) -> Iterator[None]:
    """Let only this thread write to a SQLite file; on PostgreSQL nothing is locked.

    Raise DatabaseTimeout if others do not release the lock within `within_s`, or within the longest wait.
    """
    if db.engine.dialect.name != "sqlite":
        yield
        return
    if not _write_lock.acquire(timeout=_longest_wait_s() if within_s is None else within_s):
        raise DatabaseTimeout("timed out waiting for other writers of this process")
    try:
        yield
    finally:
        _write_lock.release()


def wait_longer() -> None:
    """Let this request wait for its turn to write as long as a report may."""
    g.waits_longer = True


def _longest_wait_s() -> float:
    """Return the longest wait from now.

    A request's time starts when it arrives, not when a thread takes it.
    """
    if not has_request_context():
        return LONGEST_WAIT_S
    ends_at: float = request.environ.setdefault(ARRIVED, time.monotonic())
    ends_at += LONGEST_WAIT_S if "waits_longer" in g else REQUEST_WAIT_S
    return max(LEAST_WAIT_S, ends_at - time.monotonic())


def insert_for(dialect: str) -> Callable[[Any], Any]:
    """Return the insert statement of a dialect, which supports ON CONFLICT."""
    return sqlite.insert if dialect == "sqlite" else postgresql.insert


# Large deletions in small steps, so that uploads can write in between

# The lock of writers is not fair: a thread that releases it and takes it again at once would keep out the others.
LEAST_PAUSE_S = 0.002


def run_in_batches(delete_some: Callable[[], int]) -> int:
    """Repeat a short writing transaction until it finds no more rows.

    Return the total number. Pauses after each step for as long as the step took.
    """
    total = 0
    while True:
        began = time.monotonic()
        count = delete_some()
        if not count:
            return total
        total += count
        time.sleep(max(time.monotonic() - began, LEAST_PAUSE_S))


# Searching for a part of a text, ignoring case

# SQLite rejects patterns of more than 50,000 bytes, and long ones are slow.
LONGEST_SEARCH = 255


def holds(text: str, *columns: Any) -> ColumnElement[bool]:
    """Return the condition that one of the columns contains a text.

    Raise Refused for an overlong text.
    """
    if len(text) > LONGEST_SEARCH:
        raise Refused("search_too_long", "search", most=LONGEST_SEARCH)
    return or_(*(func.lower(column).contains(text.lower(), autoescape=True) for column in columns))


# Column types that both databases share.

# Maximum length of a user agent.
USER_AGENT_LENGTH = 512
# Rows and queries whose columns are known only to the caller.
AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]

# SQLite numbers rows automatically only in a column declared INTEGER; PostgreSQL needs the wide type.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class TextTooLong(Refused, DontWrapMixin):
    """A text is longer than its column; the message names the column."""

    def __init__(self, field: str, length: int) -> None:
        super().__init__("text_too_long", field, name=field, most=length)


class Bounded(TypeDecorator[str]):
    """A text with a maximum length, also on SQLite, which would store any.

    Storing a longer one raises TextTooLong. Searching for one is no error: there is none.
    """

    impl = String
    cache_ok = True
    field = ""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Compare with any text."""
        return String()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store."""
        if value is not None and len(value) > self.length:
            raise TextTooLong(self.field, self.length)
        return value


class Recorded(TypeDecorator[str]):
    """A text from outside that is only recorded.

    An overlong one is truncated, never rejected.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store."""
        return None if value is None else value[: self.length]


class RecordedText(Recorded):
    """The same in a column without a maximum length."""

    impl = Text
    cache_ok = True

    def __init__(self, length: int) -> None:
        TypeDecorator.__init__(self)
        self.length = length


@event.listens_for(Column, "after_parent_attach")
def name_field(column: Column[Any], _table: Any) -> None:
    """Set the name of the column in a bounded text type."""
    if isinstance(column.type, Bounded):
        column.type.field = column.name


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as milliseconds since 1970.

    A number is the same on both databases, compares and groups by day without date functions, takes 6 bytes instead
    of 26 in SQLite, and cannot lose its zone.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store."""
        return None if value is None else to_milliseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Read."""
        return None if value is None else from_milliseconds(value)


class UuidText(TypeDecorator[str]):
    """A UUID as text with dashes in Python and on the wire, stored as its 16 bytes."""

    impl = LargeBinary(16)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Store. Raises ValueError when it is not a UUID."""
        return None if value is None else uuid.UUID(value).bytes

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Read."""
        return None if value is None else str(uuid.UUID(bytes=bytes(value)))


class Json(TypeDecorator[Any]):
    """Any JSON value, stored as text: the same on both databases, and read by orjson."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Store; None is NULL."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read."""
        return None if value is None else orjson.loads(value)


class VersionTimes(TypeDecorator[tuple[str, ...]]):
    """Times of restorable versions: ISO texts in Python, four bytes each when stored.

    The bytes are whole seconds since 1970.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> bytes | None:
        """Store; an empty list is NULL.

        Times outside 1970 to 2106 do not exist for a backup and are left out.
        """
        return pack_times(value or ()) or None

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> tuple[str, ...]:
        """Read, in the order in which they were stored."""
        return _kept_texts(bytes(value or b""))


# Bytes of a packed time.
TIME_SIZE = 4


def pack_times(texts: Iterable[str]) -> bytes:
    """Times as `VersionTimes` stores them, in their order."""
    seconds = [int(datetime.fromisoformat(text).timestamp()) for text in texts]
    return _little_endian(array("I", [second for second in seconds if 0 <= second < 1 << 32])).tobytes()


def unpack_times(packed: bytes) -> tuple[str, ...]:
    """The ISO texts of what `pack_times` gave."""
    return tuple(f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.000Z" for second in _seconds(packed))


# The newest list of each job is read whenever anything has changed, and differs once a run at most.
_kept_texts = lru_cache(maxsize=2048)(unpack_times)


def add_time(packed: bytes, at: datetime) -> bytes:
    """A packed list, newest first, with one more time in its place."""
    added = int(at.timestamp())
    if not packed or added > int.from_bytes(packed[:TIME_SIZE], "little"):
        return added.to_bytes(TIME_SIZE, "little") + packed
    return _little_endian(array("I", sorted({*_seconds(packed), added}, reverse=True))).tobytes()


def _seconds(packed: bytes) -> "array[int]":
    seconds = array("I")
    seconds.frombytes(packed)
    return _little_endian(seconds)


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
