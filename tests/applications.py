"""Applications that tests make: how to let go of one."""

from app.testing.applications import close

__all__ = ["close"]
