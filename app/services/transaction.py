"""The one way to write: a lock, a transaction, a commit at the end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.extensions import Model, db
from app.services.freshness import forget_state

# SQLite admits one writer. Waiting for a lock of our own is fair and immediate; SQLite's busy handler sleeps and polls.
_write_lock = threading.RLock()
# Settings that this transaction has written: what is cached does not know them until the commit.
WRITTEN = "written_settings"


@contextmanager
def writing() -> Iterator[Session]:
    """Give the session within a writing transaction; commit at the end, roll back when something is raised.

    Nested use joins the outer transaction, which alone commits.
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
            session.connection(execution_options={"writes": True})
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info.pop("writes", None)
            session.info.pop(WRITTEN, None)
            forget_state()


def without_writers() -> AbstractContextManager[object]:
    """Have this thread alone write to a SQLite file for a while; on PostgreSQL nobody is held back."""
    return _write_lock if db.engine.dialect.name == "sqlite" else nullcontext()


def insert_for(dialect: str) -> Callable[[Any], Any]:
    """The insert statement of a database that knows ON CONFLICT; both of ours do, each in its own words."""
    return sqlite.insert if dialect == "sqlite" else postgresql.insert


def make_missing(session: Session, model: type[Model], **values: Any) -> bool:
    """Insert a row unless another process makes it at this moment, for which this waits; whether the row is ours."""
    insert = insert_for(session.connection().dialect.name)(model).values(values)
    key = next(iter(inspect(model).primary_key))
    return session.scalar(insert.on_conflict_do_nothing().returning(key)) is not None
