"""What time it is, asked at the edges only; services take it as an argument. A test may set the clock of its app."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import current_app

EXTENSION = "duplistatus.clock"


def now() -> datetime:
    """The present instant, aware and in UTC."""
    clock: Callable[[], datetime] = current_app.extensions.get(EXTENSION, system_time)
    return clock()


def system_time() -> datetime:
    """The instant that the machine's clock shows."""
    return datetime.now(UTC)
