"""The one way to write: a lock, a transaction, a commit at the end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import g, has_request_context
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import TimeoutError as DatabaseTimeout
from sqlalchemy.orm import Session

from app.extensions import db
from app.services.freshness import forget_state

# SQLite admits one writer. Waiting for a lock of our own is fair and immediate; SQLite's busy handler sleeps and polls.
_write_lock = threading.RLock()
# How long one request, or one piece of scheduled work, waits until it may write. Reports come without anybody who would
# try again, so they wait longer than a person would.
LONGEST_WAIT_S = 30.0
# "We write now" among the advisory locks of PostgreSQL: what the lock above is for SQLite, but for all processes.
WRITE_LOCK = 0x6475706D
TAKE_TURNS = select(func.pg_advisory_xact_lock(WRITE_LOCK))
GO_BESIDE_EACH_OTHER = select(func.pg_advisory_xact_lock_shared(WRITE_LOCK))
# Settings that this transaction has written: what is cached does not know them until the commit.
WRITTEN = "written_settings"


@contextmanager
def writing(*, is_small: bool = False) -> Iterator[Session]:
    """Give the session within a writing transaction; commit at the end, roll back when something is raised.

    Nested use joins the outer transaction, which alone commits. Transactions take turns, so that what one has read
    holds until it writes, and no two wait for each other's rows. On PostgreSQL small ones go side by side: those that
    add rows and change no more than one job. Raises DatabaseTimeout after `LONGEST_WAIT_S`.
    """
    session = db.session()
    if session.info.get("writes"):
        yield session
        return
    with without_writers():
        if session.in_transaction():
            session.commit()  # a reading transaction cannot be turned into a writing one
        session.info["writes"] = True
        try:
            with _waiting() as longest_s:
                connection = session.connection(execution_options={"writes": True, "wait_s": longest_s})
            if connection.dialect.name == "postgresql":
                connection.execute(GO_BESIDE_EACH_OTHER if is_small else TAKE_TURNS)
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
def without_writers(within_s: float | None = None) -> Iterator[None]:
    """Have this thread alone write to a SQLite file for a while; on PostgreSQL nobody is held back.

    Raises DatabaseTimeout where others do not let go of it for `within_s`, which is `LONGEST_WAIT_S` by default.
    """
    if db.engine.dialect.name != "sqlite":
        yield
        return
    with _waiting(within_s) as longest_s:
        is_free = _write_lock.acquire(timeout=longest_s)
    if not is_free:
        raise DatabaseTimeout("other writers of this process take too long")
    try:
        yield
    finally:
        _write_lock.release()


@contextmanager
def _waiting(within_s: float | None = None) -> Iterator[float]:
    """Give how long may be waited within the block; in a request all its waits count together."""
    waited_s: float = g.get("waited_s", 0.0)
    began = time.monotonic()
    try:
        yield max(0.001, (LONGEST_WAIT_S if within_s is None else within_s) - waited_s)
    finally:
        if has_request_context():
            g.waited_s = waited_s + time.monotonic() - began


def insert_for(dialect: str) -> Callable[[Any], Any]:
    """The insert statement of a database that knows ON CONFLICT; both of ours do, each in its own words."""
    return sqlite.insert if dialect == "sqlite" else postgresql.insert
