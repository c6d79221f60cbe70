"""Statements sent to a database, so that tests can count them."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

# They open and control a connection; how often depends on the pool.
STEERING = ("BEGIN", "COMMIT", "PRAGMA", "SET ")


@contextmanager
def sent_statements() -> Iterator[list[str]]:
    """Collect the SQL that any engine sends meanwhile, without statements that only control a connection."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(STEERING):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)
