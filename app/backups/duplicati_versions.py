"""Looks now and then which versions of Duplicati are the newest. Off until somebody wants it: it asks the internet."""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import requests

from app import __version__
from app.audit.log import Actor, record_entry
from app.core.db.transaction import writing
from app.core.settings import store as settings_store
from app.plugin import AppError, ForbiddenAddress
from app.plugin.http import describe_failure, guarded_session

# Versions of Duplicati: read from what reports and release lists say, and compared within their channel.

# From the calmest to the quickest, as Duplicati names them.
CHANNELS = ("stable", "beta", "experimental", "canary")
_NUMBERS = r"\d{1,5}(?:\.\d{1,5}){1,3}"
_RELEASE = re.compile(rf"(?<![\d.])({_NUMBERS})_({'|'.join(CHANNELS)})_\d{{4}}-\d\d-\d\d", re.ASCII)
_PLAIN = re.compile(rf"\s*v?({_NUMBERS})(?![\d.])", re.ASCII)


@dataclass(frozen=True, slots=True)
class DuplicatiVersion:
    """A version and its channel, which is empty where it was not told."""

    numbers: tuple[int, ...]
    channel: str = ""

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True)
class InstalledDuplicati:
    """The Duplicati of a server, beside the newest of its channel where that is known."""

    version: DuplicatiVersion
    newest: DuplicatiVersion | None = None

    @property
    def is_outdated(self) -> bool:
        """Whether there is a newer one in its channel."""
        return self.newest is not None and self.newest.numbers > self.version.numbers


def find_releases(text: str) -> Iterator[DuplicatiVersion]:
    """Every release that a text names as Duplicati does, such as `2.2.0.1_stable_2025-11-09`."""
    for found in _RELEASE.finditer(text):
        yield DuplicatiVersion(_read_numbers(found[1]), found[2])


def read_version(text: str | None) -> DuplicatiVersion | None:
    """The version in a report, such as `2.2.0.1 (2.2.0.1_stable_2025-11-09)`; None when there is none."""
    release = next(find_releases(text or ""), None)
    plain = _PLAIN.match(text or "")
    return release or (DuplicatiVersion(_read_numbers(plain[1])) if plain else None)


def newest_by_channel(text: str) -> dict[str, DuplicatiVersion]:
    """The newest release of each channel that a release list names."""
    newest: dict[str, DuplicatiVersion] = {}
    for release in find_releases(text):
        known = newest.get(release.channel)
        if known is None or release.numbers > known.numbers:
            newest[release.channel] = release
    return newest


def installed(text: str | None, newest: Mapping[str, DuplicatiVersion]) -> InstalledDuplicati | None:
    """What a report says of its Duplicati, beside the newest; None when it says nothing."""
    version = read_version(text)
    return InstalledDuplicati(version, newest.get(version.channel)) if version else None


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


log = logging.getLogger(__name__)

# How the check is set, and what it found.
SETTINGS = ("version_check", "newest_duplicati")
# What Duplicati itself asks. An address without the placeholder is one list of all channels.
PLACEHOLDER = "{channel}"
ADDRESS = "https://updates.duplicati.com/{channel}/latest-v2.json"
TIMEOUT_S = 15.0
MOST_BYTES = 8 * 1024 * 1024
# The task comes by each hour; one that comes a little early must not wait for the next.
SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class VersionCheck:
    """How the check is set, and what it found last; an empty address means Duplicati's own."""

    is_enabled: bool = False
    every_hours: int = 24
    url: str = ""
    newest: Mapping[str, str] | None = None
    checked_at: datetime | None = None
    error: str = ""


def read() -> VersionCheck:
    """The settings of the check and its last outcome."""
    chosen, found = settings_store.get_several(*SETTINGS)
    checked_at = found.get("checked_at")
    return VersionCheck(
        **chosen,
        newest=found.get("versions", {}),
        checked_at=datetime.fromisoformat(checked_at) if checked_at else None,
        error=found.get("error", ""),
    )


def newest(chosen: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, DuplicatiVersion]:
    """The newest version of each channel by the values of SETTINGS; none while it is off, since they grow old."""
    if not chosen.get("is_enabled"):
        return {}
    known = {channel: read_version(text) for channel, text in found.get("versions", {}).items()}
    return {channel: replace(version, channel=channel) for channel, version in known.items() if version}


def configure(changes: Mapping[str, object], *, actor: Actor, now: datetime) -> VersionCheck:
    """Change what is named of `is_enabled`, `every_hours` and `url`; another address forgets what the old one said."""
    with writing():
        before = read()
        chosen = {"is_enabled": before.is_enabled, "every_hours": before.every_hours, "url": before.url, **changes}
        settings_store.save("version_check", chosen, now=now)
        if chosen["url"] != before.url:
            settings_store.save("newest_duplicati", None, now=now)
        details = {"enabled": chosen["is_enabled"], "everyHours": chosen["every_hours"]}
        place = {"target_type": "configuration", "target_id": "version_check"}
        record_entry("version_check_updated", "config", now=now, actor=actor, details=details, **place)
    return read()


def check_if_due(now: datetime) -> VersionCheck | None:
    """Look for newer versions when it is on and long enough ago; None when it was not due."""
    check = read()
    wait = timedelta(hours=check.every_hours) - SLACK
    if not check.is_enabled or (check.checked_at is not None and now < check.checked_at + wait):
        return None
    return check_now(now)


def check_now(now: datetime) -> VersionCheck:
    """Look for newer versions; channels that do not answer keep what was known of them. Raises AppError while off."""
    before = read()
    if not before.is_enabled:
        raise AppError("The check for Duplicati versions is disabled")
    found, errors = _ask(before.url or ADDRESS)
    versions = {**(before.newest or {}), **found}
    told = {"versions": versions, "checked_at": now.isoformat(), "error": "; ".join(errors)}
    with writing():
        if read().url == before.url:  # else somebody chose another source meanwhile
            settings_store.save("newest_duplicati", told, now=now)
    return read()


def _ask(address: str) -> tuple[dict[str, str], list[str]]:
    """The newest versions by channel, and a sentence for each question that got no answer."""
    found: dict[str, str] = {}
    errors = []
    with guarded_session() as session:
        session.headers["User-Agent"] = f"duplistatus/{__version__}"
        for channel in CHANNELS if PLACEHOLDER in address else ("",):
            try:
                text = _fetch(session, address.replace(PLACEHOLDER, channel))
                answer = {name: str(version) for name, version in newest_by_channel(text).items()}
                told = {name: version for name, version in answer.items() if channel in ("", name)}
                trouble = "" if told else "the answer names no version"
                found |= told
            except ForbiddenAddress as error:
                trouble = str(error)
            except requests.RequestException as error:
                trouble = describe_failure(error, TIMEOUT_S)
            if trouble:
                errors.append(f"{channel}: {trouble}" if channel else trouble)
    for sentence in errors:
        log.warning("the check for Duplicati versions failed: %s", sentence)
    return found, errors


def _fetch(session: requests.Session, url: str) -> str:
    """The text at an address. Redirects are not followed, since they could lead anywhere."""
    ends_at = time.monotonic() + TIMEOUT_S
    body = b""
    with session.get(url, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
        if answer.status_code != 200:
            raise requests.HTTPError(f"the server returned status {answer.status_code}")
        for part in answer.iter_content(65_536):
            body += part
            if len(body) > MOST_BYTES:
                raise requests.HTTPError("the response is too large")
            if time.monotonic() > ends_at:
                raise requests.Timeout
    return body.decode("utf-8", "replace")
