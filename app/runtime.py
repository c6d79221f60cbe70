"""What the factory bound to the application: deployment settings and installed plugins."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import current_app

from app.config import Settings
from app.registry import Registry


def settings() -> Settings:
    """The settings of the running application."""
    found: Settings = current_app.extensions["duplistatus.settings"]
    return found


def registry() -> Registry:
    """The plugins of the running application."""
    found: Registry = current_app.extensions["duplistatus.registry"]
    return found


# What time it is, asked at the edges only; services take it as an argument. A test may set the clock of its app.

EXTENSION = "duplistatus.clock"


def now() -> datetime:
    """The present instant, aware and in UTC."""
    clock: Callable[[], datetime] = current_app.extensions.get(EXTENSION, system_time)
    return clock()


def system_time() -> datetime:
    """The instant that the machine's clock shows."""
    return datetime.now(UTC)
