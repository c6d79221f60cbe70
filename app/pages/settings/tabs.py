"""The tabs of the settings: one line each; a tab is a module that can show itself."""

from collections.abc import Callable
from dataclasses import dataclass

from flask.typing import ResponseReturnValue

from app.pages.settings import channel_views


@dataclass(frozen=True, slots=True)
class Tab:
    """A part of the settings: `name` is its word in the address, `show` answers with its page."""

    group: str
    name: str
    label: str
    icon: str
    show: Callable[[], ResponseReturnValue]
    is_for_admins: bool = False


TABS = (Tab("Integrations", "channels", "Channels", "bell", channel_views.show_all),)


def tabs_for(is_admin: bool) -> list[Tab]:
    """The tabs that a person may open, in their order."""
    return [tab for tab in TABS if is_admin or not tab.is_for_admins]


def find_tab(name: str | None, is_admin: bool) -> Tab:
    """The tab that an address asks for; the first one where it asks for none that there is."""
    tabs = tabs_for(is_admin)
    return next((tab for tab in tabs if tab.name == name), tabs[0])
