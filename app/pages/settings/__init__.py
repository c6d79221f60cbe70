"""The settings: one frame with tabs, each tab with modules of its own."""

from app.pages.settings.views import bp

__all__ = ["bp"]
