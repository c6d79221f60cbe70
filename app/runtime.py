"""Access to the running application's settings, plugins and clock."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import current_app

from app.config import Settings
from app.registry import Registry


def settings() -> Settings:
    """Return the settings of the running application."""
    found: Settings = current_app.extensions["duplistatus.settings"]
    return found


def registry() -> Registry:
    """Return the plugins of the running application."""
    found: Registry = current_app.extensions["duplistatus.registry"]
    return found


# The current time is read at the edges only; services take it as an argument. Tests may set the clock.

EXTENSION = "duplistatus.clock"


def now() -> datetime:
    """Return the current instant, aware and in UTC."""
    clock: Callable[[], datetime] = current_app.extensions.get(EXTENSION, system_time)
    return clock()


def system_time() -> datetime:
    """Return the instant of the machine's clock."""
    return datetime.now(UTC)
