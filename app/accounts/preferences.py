"""Display preferences of an account.

`of(user)` returns typed values with defaults; `save` stores the values of a form. To add a preference, add a field to
`Preferences` and a line to `CHOICES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from babel.localedata import locale_identifiers
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.languages import PAGE_LANGUAGES

MONDAY, SUNDAY = 0, 6
# Where the week begins on Monday: languages, and countries that differ from the others of their language.
MONDAY_FIRST = frozenset(
    "en_GB en_AU en_NZ fr de es it pt_PT nl pl ru sv no nb nn da fi cs sk hu ro bg hr sl et lv lt el is mt".split()  # noqa: SIM905 (a line each)
)
LONGEST_TEXT = 80


@dataclass(frozen=True, slots=True)
class Preferences:
    """Preferences of an account.

    An empty `format_locale` follows the language, an empty `time_zone` the browser. `refresh_s` is the interval of
    refreshing pages. `dashboard_sort` and `settings_tab` hold the last used values.
    """

    theme: str = "system"
    dashboard_view: str = "cards"
    dashboard_order: str = "name"
    dashboard_sort: str = ""
    dashboard_status: str = ""
    dashboard_tag: str = ""
    dashboard_panel: str = "status"
    table_page_size: int = 15
    chart_range: str = "1M"
    chart_style: str = "lines"
    refresh_s: int = 4
    is_refreshing: bool = True
    week_start: str = "locale"
    format_locale: str = ""
    time_zone: str = ""
    settings_tab: str = ""
    is_sidebar_collapsed: bool = False
    template_tab: str = "success"

    def first_weekday(self, locale: str) -> int:
        """Return the first day of the week, 0 for Monday and 6 for Sunday.

        By `locale` unless chosen.
        """
        if self.week_start != "locale":
            return MONDAY if self.week_start == "monday" else SUNDAY
        locale = (self.format_locale or locale).replace("-", "_")
        return MONDAY if locale in MONDAY_FIRST or locale.partition("_")[0] in MONDAY_FIRST else SUNDAY


DEFAULTS = Preferences()


@cache
def time_zones() -> frozenset[str]:
    """Return the names of the available time zones."""
    return frozenset(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "System")))


@cache
def format_locales() -> frozenset[str]:
    """Return the available locales for dates and numbers, as browsers name them."""
    return frozenset(code.replace("_", "-") for code in locale_identifiers() if code != "root" and "_POSIX" not in code)


def _is_time_zone(text: str) -> bool:
    return text == "" or text == "UTC" or text in time_zones()


def _is_locale(text: str) -> bool:
    return text == "" or text in format_locales()


def _is_word(text: str) -> bool:
    return len(text) <= LONGEST_TEXT and text.isascii() and text.lstrip("-").replace("-", "").replace("_", "").isalnum()


# Allowed values of each preference: a collection, or a function that checks a value.
CHOICES: dict[str, tuple[object, ...] | Callable[[str], bool]] = {
    "theme": ("light", "dark", "system"),
    "dashboard_view": ("cards", "table", "compact"),
    "dashboard_order": ("name", "status", "newest"),
    "dashboard_sort": lambda text: text == "" or _is_word(text),
    "dashboard_status": ("", "trouble", "overdue", "failed", "warning", "fine", "unusual", "muted"),
    "dashboard_tag": lambda text: len(text) <= LONGEST_TEXT,
    "dashboard_panel": ("status", "charts", "none"),
    "table_page_size": (5, 10, 15, 20, 25, 30, 40, 50),
    "chart_range": ("1W", "2W", "1M", "3M", "6M", "1Y", "2Y"),
    "chart_style": ("lines", "bars"),
    "refresh_s": (4, 15, 30, 60, 120, 180, 240, 300, 600),
    "is_refreshing": (True, False),
    "week_start": ("locale", "monday", "sunday"),
    "format_locale": _is_locale,
    "time_zone": _is_time_zone,
    "settings_tab": _is_word,
    "is_sidebar_collapsed": (True, False),
    "template_tab": ("success", "warning", "overdueBackup", "recovered", "dailySummary", "digest"),
}
CLAIMS = {"1": True, "on": True, "true": True, "y": True, "0": False, "": False, "false": False}


def of(user: Any) -> Preferences:
    """Return the preferences of an account; defaults for visitors and scripts.

    Unknown stored ones are ignored.
    """
    stored: Mapping[str, Any] = getattr(user, "preferences", None) or {}
    if not stored:
        return DEFAULTS
    return Preferences(**{name: value for name, value in stored.items() if _is_known(name, value)})


def save(user_id: str, chosen: Mapping[str, Any], *, now: datetime) -> None:
    """Store the known preferences of `chosen` that have valid values.

    Others stay unchanged. Values may be the text of a form. `language` is stored in the account. Raise Refused (404) if
    the account is gone.
    """
    known = _known(chosen)
    with writing() as session:
        user = _find(session, user_id)
        user.preferences = {**user.preferences, **known}
        if chosen.get("language") in PAGE_LANGUAGES:
            user.language = chosen["language"]
        user.updated_at = now


def remember(user: User, **used: Any) -> None:
    """Store what the user used last, if it differs.

    This does not count as a change of the account.
    """
    known = _known(used)
    if all(getattr(of(user), name) == value for name, value in known.items()):
        return
    with writing() as session:
        stored = _find(session, user.id)
        stored.preferences = {**stored.preferences, **known}


def _find(session: Session, user_id: str) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise Refused("user_not_found")
    return user


def _known(chosen: Mapping[str, Any]) -> dict[str, Any]:
    typed = {name: _typed(name, chosen[name]) for name in CHOICES if name in chosen}
    return {name: value for name, value in typed.items() if _is_known(name, value)}


def _typed(name: str, value: Any) -> Any:
    """Convert the text of a form to a number or boolean where the preference is one."""
    if not isinstance(value, str):
        return value
    default = getattr(DEFAULTS, name)
    if isinstance(default, bool):
        return CLAIMS.get(value)
    if isinstance(default, int):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None
    return value


def is_valid(name: str, value: Any) -> bool:
    """Whether a stored value is valid; unknown preferences are ignored when read."""
    return name not in CHOICES or _is_known(name, value)


def _is_known(name: str, value: Any) -> bool:
    choice = CHOICES.get(name)
    if choice is None or type(value) is not type(getattr(DEFAULTS, name)):
        return False
    return choice(value) if callable(choice) else value in choice
