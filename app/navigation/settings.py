"""The tabs of the settings, in the order of the page.

To add a tab, add one line to `TABS` and one module:

    Tab(SYSTEM, "clocks", _("Clocks"), "clock", clock_views.show, is_for_admins=True)

The module registers its views on `blueprint.bp` and provides a function without arguments, which handles
`/settings?tab=clocks`. Its template extends `settings/frame.html`, fills the block `tab`, and gets `tab="clocks"`.
There `settings` holds the macros of `settings/entries.html`, and `is_locked` means that the user may only read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from flask_login import current_user

from app import runtime
from app.accounts import access_pages, display_pages, preferences, user_pages
from app.accounts.models import User, is_limited
from app.audit import pages as audit_pages
from app.backups import server_settings
from app.database import pages as database_pages
from app.database import recovery_pages  # noqa: F401
from app.database.pages import LABEL as DATABASE_LABEL
from app.navigation import about, plugin_settings
from app.notifications import channel_pages, job_pages, summary_pages, template_pages
from app.notifications.channel_pages import standard_state
from app.notifications.channels import EMAIL, NTFY
from app.plugin import PluginSettings
from app.reports import pages as reports_pages
from app.schedules import monitoring_pages, task_pages
from app.sharing import settings_pages
from app.web.http import settings_bp

NOTIFICATIONS, INTEGRATIONS = _("Notifications"), _("Integrations")
SYSTEM, ACCESS, RECORDS = _("System"), _("Access"), _("Logs")
# In the order of the page; within a group the order of TABS counts.
GROUPS = (NOTIFICATIONS, INTEGRATIONS, SYSTEM, ACCESS, RECORDS)


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of the settings: `name` is its name in the URL, `show` renders its page.

    `needs_all_servers` hides it from accounts that are limited to some servers. `state` returns whether an incomplete
    tab needs attention, as `channels.standard_state`; the frame marks it.
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
    Tab(NOTIFICATIONS, "notifications", _("Backup notifications"), "bell", job_pages.show),
    Tab(NOTIFICATIONS, "monitoring", _("Backup monitoring"), "heartbeat", monitoring_pages.show),
    Tab(NOTIFICATIONS, "templates", _("Templates"), "template", template_pages.show),
    Tab(NOTIFICATIONS, "summary", _("Summaries"), "report", summary_pages.show, needs_all_servers=True),
    Tab(INTEGRATIONS, "channels", _("Channels"), "bell", channel_pages.show_all),
    Tab(
        INTEGRATIONS,
        "ntfy",
        _("ntfy"),
        "message-2",
        partial(channel_pages.show_standard, NTFY),
        needs_all_servers=True,
        state=partial(standard_state, NTFY),
    ),
    Tab(
        INTEGRATIONS,
        "email",
        _("Email"),
        "mail",
        partial(channel_pages.show_standard, EMAIL),
        needs_all_servers=True,
        state=partial(standard_state, EMAIL),
    ),
    Tab(INTEGRATIONS, "publishing", _("Publishing"), "share", settings_pages.show, is_for_admins=True),
    Tab(SYSTEM, "display", _("Display"), "device-desktop", display_pages.show),
    Tab(SYSTEM, "uploads", _("Incoming reports"), "cloud-upload", reports_pages.show, is_for_admins=True),
    Tab(SYSTEM, "about", _("About"), "info-circle", about.show),
    Tab(SYSTEM, server_settings.TAB, server_settings.LABEL, "server", server_settings.show),
    Tab(SYSTEM, "tasks", _("Scheduled tasks"), "calendar-repeat", task_pages.show),
    Tab(ACCESS, "users", _("Users"), "users", user_pages.show_all, is_for_admins=True),
    Tab(ACCESS, "keys", _("API keys"), "key", access_pages.show_keys, is_for_admins=True),
    Tab(ACCESS, "access", _("Network access"), "shield-lock", access_pages.show_access, is_for_admins=True),
    Tab(SYSTEM, database_pages.TAB, DATABASE_LABEL, "database", database_pages.show, is_for_admins=True),
    Tab(RECORDS, "audit", _("Audit log"), "list-details", audit_pages.show_audit),
    Tab(
        RECORDS,
        audit_pages.RETENTION_TAB,
        audit_pages.LABEL,
        "calendar-event",
        audit_pages.show_retention,
        is_for_admins=True,
    ),
    Tab(RECORDS, "application-logs", _("Application logs"), "file-text", audit_pages.show_logs, is_for_admins=True),
)


def all_tabs() -> list[Tab]:
    """Return the tabs of the program and of plugins."""
    pages = runtime.registry().settings_pages.values()
    return [*TABS, *map(_plugin_tab, pages)]


def _plugin_tab(page: type[PluginSettings]) -> Tab:
    name, label = plugin_settings.tab_name(page), plugin_settings.tab_label(page)
    return Tab(INTEGRATIONS, name, label, "adjustments", partial(plugin_settings.show, page), is_for_admins=True)


def grouped_tabs(user: User) -> list[tuple[LazyString, list[Tab]]]:
    """Return the tabs that a user may open, by group; empty groups are left out."""
    tabs = [tab for tab in all_tabs() if _may_open(tab, user)]
    groups = [(group, [tab for tab in tabs if tab.group is group]) for group in GROUPS]
    return [(group, tabs) for group, tabs in groups if tabs]


def first_tab(user: User) -> Tab:
    """Return the tab for a request that names none."""
    return grouped_tabs(user)[0][1][0]


def find_tab(name: str | None, user: User) -> Tab | None:
    """Return the tab of a name; None if it does not exist or the user may not open it."""
    return next((tab for tab in all_tabs() if tab.name == name and _may_open(tab, user)), None)


def _may_open(tab: Tab, user: User) -> bool:
    return user.is_admin or not (tab.is_for_admins or (tab.needs_all_servers and is_limited(user)))


# The frame of the settings


@settings_bp.get("/", strict_slashes=False)
def index() -> ResponseReturnValue:
    """Show the tab of the URL.

    Redirect to an existing one if it is missing or unknown.
    """
    found = find_tab(request.args.get("tab"), current_user)
    if found is None:
        return redirect(_address_of_tab(), 303)
    preferences.remember(current_user, settings_tab=found.name)
    return found.show()


@settings_bp.context_processor
def frame_values() -> dict[str, object]:
    """Return the values of the frame.

    The available tabs, and whether the user may change anything. Also used for error pages of these URLs, and so for
    visitors.
    """
    return {
        "tab_groups": grouped_tabs(current_user),
        "is_locked": not current_user.is_admin,
        "is_limited": is_limited(current_user),
    }


def _address_of_tab() -> str:
    """Return the URL to redirect to: `section` is an older name of `tab`.

    Without both, the last used tab.
    """
    values = request.args.to_dict()
    wanted = values.pop("tab", None) or values.pop("section", None)
    found = find_tab(wanted, current_user)
    if found is not None:
        values["tab"] = found.name
        return f"{url_for('settings.index')}?{urlencode(values)}"
    last_used = None if wanted else find_tab(preferences.of(current_user).settings_tab, current_user)
    return url_for("settings.index", tab=(last_used or first_tab(current_user)).name)
