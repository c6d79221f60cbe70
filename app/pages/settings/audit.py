"""What the tab of the audit log shows: the entries that an address asks for, page by page, and one entry in full."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from app.api.audit.schemas import FilterQuery
from app.models import AuditEntry
from app.services import audit_reading
from app.services.audit_reading import AuditFilter, AuditWords
from app.services.searching import LONGEST_SEARCH

PAGE_SIZE = 50
NOTHING = "\N{EN DASH}"
FILTERS = ("startDate", "endDate", "username", "action", "category", "status", "search")
CATEGORIES = {
    "auth": lazy_gettext("Sign-in"),
    "user": lazy_gettext("Users"),
    "config": lazy_gettext("Settings"),
    "backup": lazy_gettext("Backups"),
    "server": lazy_gettext("Servers"),
    "system": lazy_gettext("System"),
}
# Word on the wire -> word, tone and icon.
STATUSES = {
    "success": (lazy_gettext("Success"), "ok", "circle-check"),
    "failure": (lazy_gettext("Failure"), "warn", "alert-triangle"),
    "error": (lazy_gettext("Error"), "bad", "circle-x"),
}


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A part of the log. `filters` is what the address asks for, by the words of the API."""

    entries: list[AuditEntry]
    total: int
    page: int
    filters: dict[str, str]
    words: AuditWords

    @property
    def first(self) -> int:
        """The number of the first entry on this page."""
        return (self.page - 1) * PAGE_SIZE + 1

    @property
    def page_count(self) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-self.total // PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class Detail:
    """A line of an entry's details; a change has a value before as well."""

    name: str
    value: str
    before: str | None = None


def build_page(arguments: Mapping[str, str], own_user_id: str | None) -> AuditPage:
    """The part of the log that an address asks for, within what the account may see."""
    filters = {name: arguments[name].strip()[:LONGEST_SEARCH] for name in FILTERS if arguments.get(name, "").strip()}
    wanted: AuditFilter = replace(FilterQuery().load(filters), own_user_id=own_user_id)
    total = audit_reading.count_entries(wanted)
    text = arguments.get("page", "1")
    page = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
    page = min(max(page, 1), max(1, -(-total // PAGE_SIZE)))
    entries = audit_reading.list_entries(wanted, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return AuditPage(entries, total, page, filters, audit_reading.read_words(AuditFilter(own_user_id=own_user_id)))


def lay_out_details(details: Mapping[str, Any] | None) -> list[Detail]:
    """The details of an entry as lines: what lies deeper has its path in its name, what changed its value before."""
    return [line for name, value in (details or {}).items() for line in _lines(_words(name), value)]


def _lines(name: str, value: Any) -> list[Detail]:
    if isinstance(value, Mapping):
        for before, after in (("from", "to"), ("old", "new")):
            if set(value) == {before, after}:
                return [Detail(name, _text(value[after]), _text(value[before]))]
        return [line for key, part in value.items() for line in _lines(f"{name} / {_words(key)}", part)]
    if isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
        return [line for number, part in enumerate(value, 1) for line in _lines(f"{name} {number}", part)]
    return [Detail(name, _text(value))]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(part)}" for key, part in value.items()) or NOTHING
    return NOTHING if value in (None, "") else str(value)


def _words(name: object) -> str:
    """`targetUsername` and `target_username` as words."""
    spaced = "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in str(name)).replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]
