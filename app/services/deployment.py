"""What the factory bound to the application: deployment settings and installed plugins."""

from flask import current_app

from app.registry import Registry
from app.settings import Settings


def settings() -> Settings:
    """The settings of the running application."""
    found: Settings = current_app.extensions["duplistatus.settings"]
    return found


def registry() -> Registry:
    """The plugins of the running application."""
    found: Registry = current_app.extensions["duplistatus.registry"]
    return found
