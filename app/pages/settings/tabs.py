"""The tabs of the settings, in the order of the page.

A further tab is one line in `TABS` and one module of its own:

    Tab(SYSTEM, "clocks", _("Clocks"), "clock", clock_views.show, is_for_admins=True)

The module puts its other views on `blueprint.bp` and offers a function without arguments, which answers
`/settings?tab=clocks`. Its template extends `settings/frame.html`, fills the block `tab`, and is given `tab="clocks"`.
There `settings` holds the macros of `settings/entries.html`, and `is_locked` says that this person may only look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from app.models import User
from app.pages.settings import (
    about_views,
    access_views,
    audit_retention_views,
    audit_views,
    channel_views,
    database_views,
    display_views,
    import_views,  # noqa: F401 (adds its views, which belong to the tab of the database)
    key_views,
    log_views,
    master_key_views,  # noqa: F401 (adds its views, which belong to the tab of the database)
    message_template_views,
    monitoring_views,
    notification_views,
    publishing_views,
    server_views,
    summary_views,
    task_views,
    upload_views,
    user_views,
)
from app.pages.settings.channels import standard_state
from app.pages.settings.database import LABEL as DATABASE_LABEL
from app.services.channels import EMAIL, NTFY
from app.services.visibility import is_limited

NOTIFICATIONS, INTEGRATIONS = _("Notifications"), _("Integrations")
SYSTEM, ACCESS, RECORDS = _("System"), _("Access"), _("Records")
# In the order of the page; within a group the order of TABS counts.
GROUPS = (NOTIFICATIONS, INTEGRATIONS, SYSTEM, ACCESS, RECORDS)


@dataclass(frozen=True, slots=True)
class Tab:
    """A part of the settings: `name` is its word in the address, `show` answers with its page.

    With `needs_all_servers` it is not for accounts that may see chosen servers only. `state` tells of a tab that can be
    left unfinished how it is, as `channels.standard_state`; the frame marks it.
    """

    group: LazyString
    name: str
    label: LazyString
    icon: str
    show: Callable[[], ResponseReturnValue]
    is_for_admins: bool = False
    needs_all_servers: bool = False
    state: Callable[[], str] | None = None


TABS = (
    Tab(NOTIFICATIONS, "notifications", _("Backup notifications"), "bell", notification_views.show),
    Tab(NOTIFICATIONS, "monitoring", _("Backup monitoring"), "heartbeat", monitoring_views.show),
    Tab(NOTIFICATIONS, "templates", _("Templates"), "template", message_template_views.show),
    Tab(NOTIFICATIONS, "summary", _("Summaries"), "report", summary_views.show, needs_all_servers=True),
    Tab(INTEGRATIONS, "channels", _("Channels"), "bell", channel_views.show_all),
    Tab(
        INTEGRATIONS,
        "ntfy",
        _("ntfy"),
        "message-2",
        partial(channel_views.show_standard, NTFY),
        needs_all_servers=True,
        state=partial(standard_state, NTFY),
    ),
    Tab(
        INTEGRATIONS,
        "email",
        _("Email"),
        "mail",
        partial(channel_views.show_standard, EMAIL),
        needs_all_servers=True,
        state=partial(standard_state, EMAIL),
    ),
    Tab(INTEGRATIONS, "publishing", _("Publishing"), "share", publishing_views.show, is_for_admins=True),
    Tab(SYSTEM, "display", _("Display"), "device-desktop", display_views.show),
    Tab(SYSTEM, "uploads", _("Uploads"), "cloud-upload", upload_views.show, is_for_admins=True),
    Tab(SYSTEM, "about", _("About"), "info-circle", about_views.show),
    Tab(SYSTEM, server_views.TAB, server_views.LABEL, "server", server_views.show),
    Tab(SYSTEM, "tasks", _("Scheduled tasks"), "calendar-repeat", task_views.show),
    Tab(ACCESS, "users", _("Users"), "users", user_views.show_all, is_for_admins=True),
    Tab(ACCESS, "keys", _("API keys"), "key", key_views.show, is_for_admins=True),
    Tab(ACCESS, "access", _("Network access"), "shield-lock", access_views.show, is_for_admins=True),
    Tab(SYSTEM, database_views.TAB, DATABASE_LABEL, "database", database_views.show, is_for_admins=True),
    Tab(RECORDS, "audit", _("Audit log"), "list-details", audit_views.show),
    Tab(
        RECORDS,
        audit_retention_views.TAB,
        audit_retention_views.LABEL,
        "calendar-event",
        audit_retention_views.show,
        is_for_admins=True,
    ),
    Tab(RECORDS, "application-logs", _("Application logs"), "file-text", log_views.show, is_for_admins=True),
)


def grouped_tabs(user: User) -> list[tuple[LazyString, list[Tab]]]:
    """The tabs that a person may open, by their groups; groups without any are left out."""
    groups = [(group, [tab for tab in TABS if tab.group is group and _may_open(tab, user)]) for group in GROUPS]
    return [(group, tabs) for group, tabs in groups if tabs]


def first_tab(user: User) -> Tab:
    """Where a person begins who asks for no tab."""
    return grouped_tabs(user)[0][1][0]


def find_tab(name: str | None, user: User) -> Tab | None:
    """The tab of a name; None where there is none, or where it is not for this person."""
    return next((tab for tab in TABS if tab.name == name and _may_open(tab, user)), None)


def _may_open(tab: Tab, user: User) -> bool:
    return user.is_admin or not (tab.is_for_admins or (tab.needs_all_servers and is_limited(user)))
