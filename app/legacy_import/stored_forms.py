"""Parse job settings and templates stored by any version of the original."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.core.errors import Refused
from app.notifications.default_templates import DEFAULT_TEMPLATES
from app.notifications.templates import PLACEHOLDERS, Template
from app.reports.decoding import read_instant
from app.schedules.intervals import BadInterval, parse_interval, weekday_mask

EVENTS = ("all", "warnings", "errors", "off")
# The name that marks the defaults of a server among its jobs.
SERVER_ENTRY = "__default__"
OLD_UNITS = {"hour": "h", "day": "D"}
SWITCHES = {"ntfyEnabled": "ntfy", "emailEnabled": "email"}
ADDITIONAL = {
    "additionalNotificationEvent": "additional_event",
    "additionalEmails": "additional_emails",
    "additionalNtfyTopic": "additional_ntfy_topic",
}
LONGEST_TEXT = 2_000
_UTC = ZoneInfo("UTC")
_CRON_FIELD = re.compile(r"[0-9A-Za-z*/,-]+", re.ASCII)

# SHA-256 of the built-in messages of the original: a template that equals one was not customized.
OLD_DEFAULTS = frozenset(
    bytes.fromhex(digest)
    for digest in (
        "65dcfcff7d94ec02dcceab2b57b7e7b891355725a1885a231fdf54ce1bf16900",
        "b1b986609cf093eb3aec066a182d3bfc13f186a7ee99e6761201446f642bce06",
        "f0070dcb506ba37a14795063627a6998b6b6877d5886f9e500598546fd327491",
        "9088dbbd780be35cf188fe8ceaeaa9d0241510a38451e6fec777f5de8cf00001",
        "7e120e42f188fdeb9eff2ec79b34fcf27109116f9e6b7dfa1b124f423af02472",
        "e09cb5c5f0e9918a234fa7506318290a5ad8686691cf5eaba4c3e925449a51ec",
        "ed134f18bf6074301724f960a33ca2f36e182d74ed3d7bf646a6d08f07911ade",
        "23b019fb1bf41f250b6608b4a07017738151a621a8e3ae245c5d7b08ed9c0d60",
        "ef43f299299e3ce1e89527e050746c63ac68eacf9b112bd1bd71958aa6e8dd07",
    )
)
# Placeholders from before "machine" was renamed to "server".
_RENAMED = {"{machine_name}": "{server_name}", "{machine_id}": "{server_id}"}


@dataclass(frozen=True, slots=True)
class OldJobSettings:
    """A parsed entry: job columns, disabled channels, next expected run, doubtful values."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    switched_off: tuple[str, ...] = ()
    expected_at: datetime | None = None
    doubts: tuple[Refused, ...] = ()


def read_time(value: object) -> datetime | None:
    """Parse a time of the original, UTC if it has no zone; None if invalid."""
    try:
        return read_instant(value, _UTC) if isinstance(value, str) else None
    except ValueError:
        return None


def read_job_settings(entry: Mapping[str, Any]) -> OldJobSettings:
    """Parse an entry of any version.

    Invalid values are omitted and listed in the doubts.
    """
    columns: dict[str, Any] = {}
    doubts: list[Refused] = []
    if entry.get("notificationEvent") in EVENTS:
        columns["notification_event"] = entry["notificationEvent"]
    if isinstance(entry.get("overdueBackupCheckEnabled"), bool):
        columns["is_overdue_check_enabled"] = entry["overdueBackupCheckEnabled"]
    try:
        interval = _interval_text(entry)
        if interval:
            columns["expected_interval"] = interval
    except BadInterval:
        doubts.append(Refused("job_interval_unreadable"))
    if "intervalUnit" in entry:  # the format of schema 3.0 and older has no more fields
        return OldJobSettings(columns, doubts=tuple(doubts))
    weekdays = entry.get("allowedWeekDays")
    if isinstance(weekdays, list):
        try:
            columns["allowed_weekdays"] = weekday_mask([day for day in weekdays if type(day) is int])
        except ValueError:
            doubts.append(Refused("job_weekdays_unknown"))
    columns |= read_additional(entry)
    off = tuple(kind for name, kind in SWITCHES.items() if entry.get(name) is False)
    return OldJobSettings(columns, off, read_time(entry.get("time")), tuple(doubts))


def read_additional(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return additional destinations of a job or server by our names.

    Empty text counts as set.
    """
    found = {ours: entry[theirs] for theirs, ours in ADDITIONAL.items() if isinstance(entry.get(theirs), str)}
    if found.get("additional_event", EVENTS[0]) not in EVENTS:
        del found["additional_event"]
    return {name: value[:LONGEST_TEXT] for name, value in found.items()}


def split_key(key: str, server_names: Collection[str]) -> tuple[str, str] | None:
    """Split a key `server:job`, both of which may contain colons.

    None if no server matches.

    `server_names` are ids, or in schema 2.0 and older names.
    """
    at = key.find(":")
    fits = []
    while at != -1:
        if key[:at] in server_names and key[at + 1 :]:
            fits.append((key[:at], key[at + 1 :]))
        at = key.find(":", at + 1)
    return fits[-1] if fits else None


def is_crontab(expression: object) -> bool:
    """Whether a text has the five fields of a crontab expression."""
    if not isinstance(expression, str) or len(expression) > LONGEST_TEXT:
        return False
    fields = expression.split()
    return len(fields) == 5 and all(_CRON_FIELD.fullmatch(part) for part in fields)


def changed_template(kind: str, stored: object, default: Template) -> dict[str, str] | None:
    """Return a customized template with current placeholders.

    None for a built-in one.
    """
    if kind not in PLACEHOLDERS or not isinstance(stored, Mapping):
        return None
    ours = {"title": default.title, "message": default.message, "priority": default.priority, "tags": default.tags}
    found = {name: _renamed(stored[name]) if isinstance(stored.get(name), str) else text for name, text in ours.items()}
    message = stored.get("message")
    if isinstance(message, str) and hashlib.sha256(message.encode("utf-8", "replace")).digest() in OLD_DEFAULTS:
        found["message"] = default.message
    if _normalized(found["title"]) in (_normalized(default.title), _normalized(DEFAULT_TEMPLATES[kind].title)):
        found["title"] = default.title
    return None if found == ours else found


def _interval_text(entry: Mapping[str, Any]) -> str | None:
    """Return the interval in its current format. Raises BadInterval."""
    value = entry.get("expectedInterval")
    if "intervalUnit" in entry:
        unit = OLD_UNITS.get(str(entry["intervalUnit"]))
        if unit is None or isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
            raise BadInterval("neither hours nor days")
        value = f"{value:g}{unit}" if float(value).is_integer() else f"{round(value * (24 if unit == 'D' else 1))}h"
    if not isinstance(value, str) or not value.strip():
        return None
    parse_interval(value)
    return value.strip()


def _renamed(text: str) -> str:
    for old, new in _RENAMED.items():
        text = text.replace(old, new)
    return text


def _normalized(title: str) -> str:
    """Return a title without differences between versions.

    These are blanks, and the name of the server placeholder.
    """
    return "".join(title.split()).replace("{server_name}", "{server_alias}")


def as_utc_text(instant: datetime) -> str:
    """Return a time in the format of our settings."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")
