"""Writing transactions: lock, transaction, and one commit at the end."""

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
from app.core.errors import Refused

# SQLite admits one writer. Waiting for our own lock is fair and immediate; SQLite's busy handler sleeps and polls.
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
            forget_state()


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
