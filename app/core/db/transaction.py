"""The one way to write: a lock, a transaction, a commit at the end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import g, has_request_context, request
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import TimeoutError as DatabaseTimeout
from sqlalchemy.orm import Session

from app.core.db.cache import forget_state
from app.core.db.extensions import db
from app.plugin import AppError

# SQLite admits one writer. Waiting for a lock of our own is fair and immediate; SQLite's busy handler sleeps and polls.
_write_lock = threading.RLock()
# How long one request waits until it may write; reports, which nobody sends again, and scheduled work wait longer.
REQUEST_WAIT_S, LONGEST_WAIT_S = 5.0, 30.0
# A request whose time is over, since it waited for its turn or worked for long, still waits for others to end.
LEAST_WAIT_S = 1.0
# In the environment of a request: when it had come, in seconds of `time.monotonic`.
ARRIVED = "duplistatus.arrived_s"
# "We write now" among the advisory locks of PostgreSQL: what the lock above is for SQLite, but for all processes.
WRITE_LOCK = 0x6475706D
EXCLUSIVE_LOCK = select(func.pg_advisory_xact_lock(WRITE_LOCK))
SHARED_LOCK = select(func.pg_advisory_xact_lock_shared(WRITE_LOCK))
# Settings that this transaction has written: what is cached does not know them until the commit.
WRITTEN = "written_settings"


@contextmanager
def writing(*, is_small: bool = False) -> Iterator[Session]:
    """Give the session within a writing transaction; commit at the end, roll back when something is raised.

    Nested use joins the outer transaction, which alone commits. Transactions take turns, so that what one has read
    holds until it writes, and no two wait for each other's rows. On PostgreSQL small ones go side by side: those that
    add rows and change no more than one job. Raises DatabaseTimeout.
    """
    session = db.session()
    if session.info.get("writes"):
        yield session
        return
    with exclusive_writer():
        if session.in_transaction():
            session.commit()  # a reading transaction cannot be turned into a writing one
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
            forget_state()


def renew_lock() -> None:
    """Have a lock of this process's own, after a fork: a thread of the parent may have held the other one."""
    global _write_lock
    _write_lock = threading.RLock()


@contextmanager
def exclusive_writer(within_s: float | None = None) -> Iterator[None]:
    """Have this thread alone write to a SQLite file for a while; on PostgreSQL nobody is held back.

    Raises DatabaseTimeout where others do not let go of it for `within_s`, or for as long as may be waited.
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
    """Let this request wait until it may write for as long as a report may."""
    g.waits_longer = True


def _longest_wait_s() -> float:
    """How long may be waited now: a request has its time from when it came, also where it waited for a thread."""
    if not has_request_context():
        return LONGEST_WAIT_S
    ends_at: float = request.environ.setdefault(ARRIVED, time.monotonic())
    ends_at += LONGEST_WAIT_S if "waits_longer" in g else REQUEST_WAIT_S
    return max(LEAST_WAIT_S, ends_at - time.monotonic())


def insert_for(dialect: str) -> Callable[[Any], Any]:
    """The insert statement of a database that knows ON CONFLICT; both of ours do, each in its own words."""
    return sqlite.insert if dialect == "sqlite" else postgresql.insert


# Large deletions in small steps: uploads get their turn between two of them, and never wait for the whole.

# The lock of writers is not fair: whoever lets go of it and takes it at once would keep the others out.
LEAST_PAUSE_S = 0.002


def run_in_batches(delete_some: Callable[[], int]) -> int:
    """Repeat a short writing transaction until it finds nothing more to do; returns how much it did in all.

    Others have the database for as long as each step took.
    """
    total = 0
    while True:
        began = time.monotonic()
        count = delete_some()
        if not count:
            return total
        total += count
        time.sleep(max(time.monotonic() - began, LEAST_PAUSE_S))


# Looking for a part of a text in the database, whatever its case.

# SQLite refuses patterns of more than 50,000 bytes, and long ones make it slow.
LONGEST_SEARCH = 255


def holds(text: str, *columns: Any) -> ColumnElement[bool]:
    """The condition that one of the columns holds a text. Raises AppError for a text that is too long."""
    if len(text) > LONGEST_SEARCH:
        raise AppError(f"search: at most {LONGEST_SEARCH} characters")
    return or_(*(func.lower(column).contains(text.lower(), autoescape=True) for column in columns))
