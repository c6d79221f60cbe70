"""Looks now and then which versions of Duplicati are the newest. Off until somebody wants it: it asks the internet."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import requests

from app import __version__
from app.contracts import AppError
from app.contracts.addresses import ForbiddenAddress, guarded_session
from app.domain.duplicati_versions import CHANNELS, DuplicatiVersion, newest_by_channel, read_version
from app.services import configuration
from app.services.audit import Actor, record_entry
from app.services.failed_requests import describe_failure
from app.services.transaction import writing

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
    chosen, found = configuration.get_several(*SETTINGS)
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
        configuration.save("version_check", chosen, now=now)
        if chosen["url"] != before.url:
            configuration.save("newest_duplicati", None, now=now)
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
        raise AppError("The check for versions of Duplicati is switched off")
    found, errors = _ask(before.url or ADDRESS)
    versions = {**(before.newest or {}), **found}
    told = {"versions": versions, "checked_at": now.isoformat(), "error": "; ".join(errors)}
    with writing():
        if read().url == before.url:  # else somebody chose another source meanwhile
            configuration.save("newest_duplicati", told, now=now)
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
        log.warning("cannot look for versions of Duplicati: %s", sentence)
    return found, errors


def _fetch(session: requests.Session, url: str) -> str:
    """The text at an address. Redirects are not followed, since they could lead anywhere."""
    ends_at = time.monotonic() + TIMEOUT_S
    body = b""
    with session.get(url, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
        if answer.status_code != 200:
            raise requests.HTTPError(f"the server answered with status {answer.status_code}")
        for part in answer.iter_content(65_536):
            body += part
            if len(body) > MOST_BYTES:
                raise requests.HTTPError("the answer is too large")
            if time.monotonic() > ends_at:
                raise requests.Timeout
    return body.decode("utf-8", "replace")
