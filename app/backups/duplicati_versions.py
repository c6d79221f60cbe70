"""Versions of Duplicati: parse, compare, and check for newer ones.

The check is off by default, since it sends requests to the internet.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import requests
from marshmallow import fields

from app import __version__
from app.audit.log import Actor, record_entry
from app.core.db.orm import writing
from app.core.errors import Refused, dump_refusal, load_refusal
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, check_instant, declare
from app.plugin import ForbiddenAddress, validate_http_url
from app.plugin.http import explain_failure, guarded_session
from app.plugin.marking import N_

# The server that Duplicati itself queries. A URL without the placeholder is one list of all channels.
PLACEHOLDER = "{channel}"
ADDRESS = "https://updates.duplicati.com/{channel}/latest-v2.json"


def check_source(url: str) -> None:
    """Reject anything but a URL, which may have the placeholder, or "". Raise ValidationError."""
    if url:
        validate_http_url(url.replace(PLACEHOLDER, "stable"))


# Off at first, since it asks the internet.
IS_ENABLED = Setting(
    "is_enabled",
    bool,
    default=False,
    wire="enabled",
    label=N_("Check for Duplicati updates"),
    help=N_("Contacts Duplicati's update server. No data about your servers is sent."),
)
EVERY_HOURS = Setting(
    "every_hours", int, default=24, choices=(6, 12, 24), wire="everyHours", label=N_("Check interval")
)
SOURCE = Setting(
    "url",
    str,
    default="",
    longest=2000,
    check=check_source,
    wire="url",
    is_secret=True,
    label=N_("Mirror URL"),
    help=N_("Leave blank for the official server."),
)
VERSION_CHECK = declare(Setting("version_check", dict, default={}, parts=(IS_ENABLED, EVERY_HOURS, SOURCE)))


class NewestVersionsValue(Exact):
    """The newest versions of Duplicati."""

    versions = fields.Dict(keys=fields.String(), values=fields.String())
    checked_at = fields.String(validate=check_instant)
    error = fields.String()
    error_details = fields.List(fields.Dict(keys=fields.String()))


NEWEST_VERSIONS = declare(Setting("newest_duplicati", dict, default={}, shape=fields.Nested(NewestVersionsValue)))


# Versions, as reports and release lists have them, compared within their channel

# Channels from the most stable on, as Duplicati names them.
CHANNELS = ("stable", "beta", "experimental", "canary")
_NUMBERS = r"\d{1,5}(?:\.\d{1,5}){1,3}"
_RELEASE = re.compile(rf"(?<![\d.])({_NUMBERS})_({'|'.join(CHANNELS)})_\d{{4}}-\d\d-\d\d", re.ASCII)
_PLAIN = re.compile(rf"\s*v?({_NUMBERS})(?![\d.])", re.ASCII)


@dataclass(frozen=True, slots=True)
class DuplicatiVersion:
    """A version and its channel, "" if unknown."""

    numbers: tuple[int, ...]
    channel: str = ""

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True)
class InstalledDuplicati:
    """The Duplicati of a server, and the newest version of its channel if known."""

    version: DuplicatiVersion
    newest: DuplicatiVersion | None = None

    @property
    def is_outdated(self) -> bool:
        """Whether its channel has a newer version."""
        return self.newest is not None and self.newest.numbers > self.version.numbers


def find_releases(text: str) -> Iterator[DuplicatiVersion]:
    """Yield each release in a text, such as `2.2.0.1_stable_2025-11-09`."""
    for found in _RELEASE.finditer(text):
        yield DuplicatiVersion(_read_numbers(found[1]), found[2])


def read_version(text: str | None) -> DuplicatiVersion | None:
    """Return the version of a report, or None.

    Example: `2.2.0.1 (2.2.0.1_stable_2025-11-09)`.
    """
    release = next(find_releases(text or ""), None)
    plain = _PLAIN.match(text or "")
    return release or (DuplicatiVersion(_read_numbers(plain[1])) if plain else None)


def newest_by_channel(text: str) -> dict[str, DuplicatiVersion]:
    """Return the newest release of each channel in a release list."""
    newest: dict[str, DuplicatiVersion] = {}
    for release in find_releases(text):
        known = newest.get(release.channel)
        if known is None or release.numbers > known.numbers:
            newest[release.channel] = release
    return newest


def installed(text: str | None, newest: Mapping[str, DuplicatiVersion]) -> InstalledDuplicati | None:
    """Return a report's Duplicati version and the newest one; None without a version."""
    version = read_version(text)
    return InstalledDuplicati(version, newest.get(version.channel)) if version else None


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


log = logging.getLogger(__name__)

# Settings and result of the check
SETTINGS = ("version_check", "newest_duplicati")
TIMEOUT_S = 15.0
MOST_BYTES = 8 * 1024 * 1024
# The task runs hourly; one that starts slightly early must not skip an hour.
SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class VersionCheck:
    """Settings of the check and its last result; an empty URL means Duplicati's own."""

    is_enabled: bool = IS_ENABLED.default
    every_hours: int = EVERY_HOURS.default
    url: str = SOURCE.default
    newest: Mapping[str, str] | None = None
    checked_at: datetime | None = None
    error: str = ""
    problems: tuple[Refused, ...] = ()


def read() -> VersionCheck:
    """Return the settings of the check and its last result."""
    chosen, found = settings_store.get_several(*SETTINGS)
    checked_at = found.get("checked_at")
    return VersionCheck(
        **VERSION_CHECK.read_parts(chosen),
        newest=found.get("versions", {}),
        checked_at=datetime.fromisoformat(checked_at) if checked_at else None,
        error=found.get("error", ""),
        problems=tuple(filter(None, map(load_refusal, found.get("error_details", ())))),
    )


def newest(chosen: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, DuplicatiVersion]:
    """Return the newest version of each channel; none while the check is off.

    The arguments are values of SETTINGS. Versions found before are not shown while the check is off, since they become
    outdated.
    """
    if not chosen.get("is_enabled"):
        return {}
    known = {channel: read_version(text) for channel, text in found.get("versions", {}).items()}
    return {channel: replace(version, channel=channel) for channel, version in known.items() if version}


def configure(changes: Mapping[str, object], *, actor: Actor, now: datetime) -> VersionCheck:
    """Change `is_enabled`, `every_hours` or `url`; a new URL deletes the last result."""
    with writing():
        before = read()
        chosen = {**VERSION_CHECK.read_parts(settings_store.read(VERSION_CHECK)), **changes}
        settings_store.save("version_check", chosen, now=now)
        if chosen["url"] != before.url:
            settings_store.save("newest_duplicati", None, now=now)
        details = {part.wire: chosen[part.name] for part in VERSION_CHECK.parts if not part.is_secret}
        target = {"target_type": "configuration", "target_id": "version_check"}
        record_entry("version_check_updated", "config", now=now, actor=actor, details=details, **target)
    return read()


def check_if_due(now: datetime) -> VersionCheck | None:
    """Check for newer versions if enabled and due; None if not."""
    check = read()
    wait = timedelta(hours=check.every_hours) - SLACK
    if not check.is_enabled or (check.checked_at is not None and now < check.checked_at + wait):
        return None
    return check_now(now)


def check_now(now: datetime) -> VersionCheck:
    """Check for newer versions. Raise Refused if disabled.

    Channels that do not answer keep their last result.
    """
    before = read()
    if not before.is_enabled:
        raise Refused("version_check_disabled")
    found, problems = _ask(before.url or ADDRESS)
    result = {
        "versions": {**(before.newest or {}), **found},
        "checked_at": now.isoformat(),
        "error": "; ".join(problem.message for problem in problems),
        "error_details": [dump_refusal(problem) for problem in problems],
    }
    with writing():
        if read().url == before.url:  # else the source was changed meanwhile
            settings_store.save("newest_duplicati", result, now=now)
    return read()


def _ask(address: str) -> tuple[dict[str, str], list[Refused]]:
    """Return the newest versions by channel, and an error for each failed request."""
    found: dict[str, str] = {}
    problems: list[Refused] = []
    with guarded_session() as session:
        session.headers["User-Agent"] = f"duplistatus/{__version__}"
        for channel in CHANNELS if PLACEHOLDER in address else ("",):
            try:
                text = _fetch(session, address.replace(PLACEHOLDER, channel))
                answer = {name: str(version) for name, version in newest_by_channel(text).items()}
                named = {name: version for name, version in answer.items() if channel in ("", name)}
                problem = None if named else Refused("answer_without_versions")
                found |= named
            except (Refused, ForbiddenAddress, requests.RequestException) as error:
                problem = explain_failure(error, TIMEOUT_S)
            if problem is not None:
                named_problem = Refused("failure_of_channel", channel=channel, reason=problem)
                problems.append(named_problem if channel else problem)
    for problem in problems:
        log.warning("the check for Duplicati versions failed: %s", problem)
    return found, problems


def _fetch(session: requests.Session, url: str) -> str:
    """Return the text at a URL. Redirects are not followed: they could lead anywhere."""
    ends_at = time.monotonic() + TIMEOUT_S
    body = b""
    with session.get(url, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
        if answer.status_code != 200:
            raise Refused("request_answered_with_status", http_status=answer.status_code)
        for part in answer.iter_content(65_536):
            body += part
            if len(body) > MOST_BYTES:
                raise Refused("request_answer_too_large")
            if time.monotonic() > ends_at:
                raise requests.Timeout
    return body.decode("utf-8", "replace")
