"""Ping an external monitor while everything works, so that it notices an outage."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
from marshmallow import fields
from urllib3.exceptions import HTTPError

from app import __version__
from app.audit.log import Actor, record_entry
from app.core.db.faults import DATABASE_ERRORS
from app.core.db.orm import writing
from app.core.errors import Refused, dump_refusal
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, check_instant, check_values, declare
from app.database import health, secrets
from app.database.secrets import is_other_server
from app.legacy_import.stored_forms import read_time
from app.plugin import ForbiddenAddress, check_url
from app.plugin.http import answers_within, explain_failure, guarded_session
from app.plugin.marking import N_

# Pings in the formats of known external monitors
#
# Healthchecks: https://healthchecks.io/docs/http_api/; Uptime Kuma: monitors of type "Push"; Gatus: external endpoints,
# https://github.com/TwiN/gatus#external-endpoints.

HEALTHCHECKS, UPTIME_KUMA, GATUS, OTHER = "healthchecks", "uptime_kuma", "gatus", "other"
SERVICES = (HEALTHCHECKS, UPTIME_KUMA, GATUS, OTHER)
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Ping:
    """A request to send."""

    method: str
    url: str
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def recognise(url: str) -> str:
    """Return the service of a URL by its format; OTHER for an unknown one."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return OTHER
    path = parts.path.rstrip("/")
    if parts.hostname == "hc-ping.com" or re.search(rf"/ping/(?:{_UUID}|[^/]+/[^/]+)$", path):
        return HEALTHCHECKS
    if re.search(r"/api/push/[^/]+$", path):
        return UPTIME_KUMA
    if re.search(r"/api/v1/endpoints/[^/]+/external$", path):
        return GATUS
    return OTHER


def build_ping(service: str, url: str, token: str = "", reason: str = "") -> Ping | None:
    """Return the request for success, or with a reason for failure.

    None for a failure if the service has no URL for it: it notices that the pings stop.
    """
    if service == HEALTHCHECKS:
        return Ping("POST", _below(url, "/fail"), reason) if reason else Ping("GET", url)
    if service == UPTIME_KUMA:
        state = {"status": "down", "msg": reason[:_LONGEST_REASON]} if reason else {"status": "up", "msg": "OK"}
        return Ping("GET", _with_query(url, {**state, "ping": ""}))
    if service == GATUS:
        state = {"success": "false", "error": reason[:_LONGEST_REASON]} if reason else {"success": "true"}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Ping("POST", _with_query(url, state), headers=headers)
    return None if reason else Ping("GET", url)


def _below(url: str, suffix: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _with_query(url: str, state: dict[str, str]) -> str:
    """Replace the parameters of the URL that describe the state; keep all others."""
    parts = urlsplit(url)
    ours = {"status", "msg", "ping", "success", "error", "duration"}
    others = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in ours]
    return urlunsplit(parts._replace(query=urlencode([*others, *state.items()])))


IS_ENABLED = Setting(
    "is_enabled",
    bool,
    default=False,
    wire="enabled",
    label=N_("Ping an external monitor"),
    help=N_("It notifies you when the pings stop, even if the host of duplistatus is down."),
)
PING_URL = Setting(
    "url",
    str,
    default="",
    longest=2000,
    wire="url",
    is_secret=True,
    label=N_("Ping URL"),
    help=N_("The ping, push or external endpoint URL shown by the service."),
)
EVERY_MINUTES = Setting(
    "every_minutes",
    int,
    default=5,
    minimum=1,
    maximum=1440,
    wire="everyMinutes",
    label=N_("Ping interval, in minutes"),
)
# Empty if it is detected from the URL.
SERVICE = Setting("service", str, default="", choices=("", *SERVICES), wire="service", label=N_("Service"))
# Stored encrypted.
TOKEN = Setting("token", str, default="", wire="token", is_secret=True, label=N_("Token"))
LONGEST_TOKEN = 500
EXTERNAL_MONITOR = declare(
    Setting("external_monitor", dict, default={}, parts=(IS_ENABLED, PING_URL, EVERY_MINUTES, SERVICE, TOKEN))
)


class PingValue(Exact):
    """Result of the latest ping."""

    sent_at = fields.String(validate=check_instant)
    good_at = fields.String(allow_none=True, validate=check_instant)
    error = fields.String()
    error_details = fields.Dict(keys=fields.String(), allow_none=True)
    reason = fields.String()


NEWEST_PING = declare(Setting("external_monitor_ping", dict, default={}, shape=fields.Nested(PingValue)))


log = logging.getLogger(__name__)

# Result of the latest ping.
PINGED = "external_monitor_ping"
TIMEOUT_S = 10.0
# The task runs each minute; one that runs a little early must not wait for the next.
SLACK = timedelta(seconds=30)
EVERY_MINUTE = "* * * * *"


@dataclass(frozen=True, slots=True)
class EveryMinute:
    """The times at which the scheduler checks whether a ping is due."""

    crontab: str = EVERY_MINUTE


@dataclass(frozen=True, slots=True)
class ExternalMonitor:
    """Stored settings: `service` is empty if it is detected from the URL.

    The token is encrypted.
    """

    is_enabled: bool = IS_ENABLED.default
    url: str = PING_URL.default
    every_minutes: int = EVERY_MINUTES.default
    service: str = SERVICE.default
    token: str = TOKEN.default

    @property
    def is_on(self) -> bool:
        """Whether pings are sent."""
        return self.is_enabled and bool(self.url)

    @property
    def rhythm(self) -> EveryMinute:
        """Return when a ping may be due."""
        return EveryMinute()

    @property
    def used_service(self) -> str:
        """Return the selected service, or the one detected from the URL."""
        return self.service or recognise(self.url)

    @property
    def has_token(self) -> bool:
        """Whether a token is stored."""
        return bool(self.token)


@dataclass(frozen=True, slots=True)
class PingResult:
    """Result of the latest ping, and the time of the last successful one.

    `error` is why it failed, as a sentence and as `dump_refusal` writes it; `reason` is the code of the problem that
    it reported.
    """

    sent_at: datetime | None = None
    good_at: datetime | None = None
    error: str = ""
    reason: str = ""
    error_details: Mapping[str, Any] | None = None


def read() -> ExternalMonitor:
    """Return the stored settings; invalid values count as missing."""
    return ExternalMonitor(**EXTERNAL_MONITOR.read_parts(settings_store.read(EXTERNAL_MONITOR)))


def last_ping() -> PingResult:
    """Return the result of the latest ping."""
    stored = _mapping(settings_store.get(PINGED))
    times = read_time(stored.get("sent_at")), read_time(stored.get("good_at"))
    details = _mapping(stored.get("error_details")) or None
    return PingResult(*times, _text(stored, "error"), _text(stored, "reason"), details)


def save(changes: Mapping[str, Any], *, actor: Actor, now: datetime) -> bool:
    """Change the given ones of `is_enabled`, `url`, `every_minutes`, `service` and `token`.

    `token` is in clear, "" for none. The stored token is dropped if the URL leads to another server and no token is
    given; returns whether it was. Raises Refused with `field` for invalid values.
    """
    with writing():
        before = read()
        url = str(changes.get("url", before.url)).strip()
        values: dict[str, Any] = {
            "is_enabled": changes.get("is_enabled", before.is_enabled),
            "url": url,
            "every_minutes": changes.get("every_minutes", before.every_minutes),
            "service": changes.get("service", before.service) or "",
        }
        _check(values)
        is_dropped = "token" not in changes and before.has_token and is_other_server(before.url, url)
        token = "" if is_dropped else before.token
        values["token"] = secrets.encrypt(str(changes["token"])) if "token" in changes else token
        settings_store.save(EXTERNAL_MONITOR.name, values, now=now)
        if url != before.url:
            settings_store.save(PINGED, None, now=now)
        _record(read(), is_dropped, actor, now)
    return is_dropped


def ping_if_due(now: datetime) -> PingResult | None:
    """Send a ping if enabled and due, immediately after a failed one.

    None if none was due.
    """
    chosen, last = read(), last_ping()
    wait = timedelta(minutes=chosen.every_minutes) - SLACK
    is_early = last.sent_at is not None and not last.error and last.sent_at <= now < last.sent_at + wait
    return None if not chosen.is_on or is_early else _ping(chosen, now)


def ping_now(now: datetime) -> PingResult:
    """Send a ping now, even if disabled. Raises Refused without a URL."""
    chosen = read()
    if not chosen.url:
        raise Refused("monitor_url_missing", "url")
    return _ping(chosen, now)


def report_failure(chosen: ExternalMonitor, reason: str) -> None:
    """Report a failure to a service that accepts reports.

    Needs no database, never raises.
    """
    if chosen.is_on and (error := _send(chosen, reason)):
        log.warning("the external monitor was not notified of %s: %s", reason, error)


def _ping(chosen: ExternalMonitor, now: datetime) -> PingResult:
    """Report the current health and store the result."""
    reason, good_at = health.examine(now).reason, last_ping().good_at
    problem = _send(chosen, reason)
    if problem:
        log.warning("the external monitor cannot be pinged: %s", problem)
    is_good = not reason and problem is None
    error, details = (problem.message, dump_refusal(problem)) if problem else ("", None)
    result = PingResult(now, now if is_good else good_at, error, reason, details)
    stored = {
        "sent_at": now.isoformat(),
        "good_at": result.good_at.isoformat() if result.good_at else None,
        "error": error,
        "error_details": details,
        "reason": reason,
    }
    try:
        settings_store.save(PINGED, stored, now=now)
    except DATABASE_ERRORS as failure:
        log.warning("the result of the ping could not be stored: %s", failure)
    return result


def _send(chosen: ExternalMonitor, reason: str) -> Refused | None:
    """Send the request.

    Return why it failed, None if it succeeded or none is needed.
    """
    try:
        token = secrets.decrypt(chosen.token)
        ping = build_ping(chosen.used_service, chosen.url, token, reason)
        return _request(ping) if ping else None
    except (Refused, ForbiddenAddress, requests.RequestException, HTTPError, OSError, ValueError) as error:
        return explain_failure(error, TIMEOUT_S)


def _request(ping: Ping) -> Refused | None:
    # The body is not read, and a redirect could lead anywhere.
    options: dict[str, Any] = {"timeout": TIMEOUT_S, "allow_redirects": False, "stream": True}
    headers = {"User-Agent": f"duplistatus/{__version__}", **ping.headers}
    with answers_within(TIMEOUT_S), guarded_session() as session:
        answer = session.request(ping.method, ping.url, data=ping.body.encode() or None, headers=headers, **options)
        answer.close()
    if answer.ok and answer.status_code < 300:
        return None
    return Refused("request_answered_with_status", http_status=answer.status_code)


def _check(values: Mapping[str, Any]) -> None:
    check_values((EVERY_MINUTES,), values)
    if not SERVICE.accepts(values["service"]):
        raise Refused("monitor_service_unknown", "service", services=", ".join(SERVICES))
    if not PING_URL.accepts(values["url"]):
        raise Refused("monitor_url_too_long", "url", most=PING_URL.longest)
    if values["is_enabled"] and not values["url"]:
        raise Refused("monitor_url_required", "url")
    try:
        if values["url"]:
            check_url(values["url"])
    except (ForbiddenAddress, ValueError) as error:
        raise Refused("monitor_url_invalid", "url", reason=str(error)) from error


def _record(chosen: ExternalMonitor, is_dropped: bool, actor: Actor, now: datetime) -> None:
    # The URL is omitted: it is sufficient for sending pings.
    details = {
        "enabled": chosen.is_enabled,
        "everyMinutes": chosen.every_minutes,
        "service": chosen.used_service if chosen.url else OTHER,
        "credentialsDropped": is_dropped,
    }
    target = {"target_type": "configuration", "target_id": EXTERNAL_MONITOR.name}
    record_entry("external_monitor_updated", "config", now=now, actor=actor, details=details, **target)


def _mapping(stored: Any) -> Mapping[str, Any]:
    return stored if isinstance(stored, dict) else {}


def _text(stored: Mapping[str, Any], name: str) -> str:
    value = stored.get(name)
    return value if isinstance(value, str) else ""
