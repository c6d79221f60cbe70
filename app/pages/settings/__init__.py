"""The settings: one frame with tabs, each tab with modules of its own."""

from app.pages.settings import status_page as status_page  # puts its views on the blueprint
from app.pages.settings.views import bp

__all__ = ["bp"]
