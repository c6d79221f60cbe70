"""What is sent to a database meanwhile, so that tests can count it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

# They open and steer a connection; how often depends on what the pool holds.
STEERING = ("BEGIN", "COMMIT", "PRAGMA", "SET ")


@contextmanager
def sent_statements() -> Iterator[list[str]]:
    """Collect the SQL that any engine sends meanwhile, without what only steers a connection."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(STEERING):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)
