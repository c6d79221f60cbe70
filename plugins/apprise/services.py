"""Apprise with our restrictions.

Nothing on this machine, no redirects, no retries of its own, time limits.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from http.client import responses
from typing import Any

from marshmallow import ValidationError

from app.plugin import N_, check_host, guarded_connections
from app.plugin.http import ignore_environment

# These act on the machine that runs duplistatus, not on a service: its desktop, its log, a lamp at its USB port, a
# program that is started, a folder of keys.
LOCAL_SCHEMES = ("dbus", "qt", "kde", "glib", "gio", "gnome", "macosx", "windows", "syslog", "blink1", "vapid")
# These send datagrams without confirmation, so a lost message would count as delivered.
UNCONFIRMED_SCHEMES = ("rsyslog",)
MOST_SERVICES = 10
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, TIMEOUT_S = 5.0, 15.0, 20.0
STATUS = re.compile(r"\berror=(\d{3})\b")
# As for every HTTP channel: these may pass although they are below 500.
PASSING_STATUSES = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one service did not accept a message, without any part of its URL."""

    text: str
    is_permanent: bool


def open_services(text: str) -> dict[str, Any]:
    """Return Apprise's objects by URL, each once.

    Raise ValidationError with the line, never the URL.
    """
    urls = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if len(urls) > MOST_SERVICES:
        raise ValidationError(
            N_("More than {count} service URLs. Create another channel for the rest.").format(count=MOST_SERVICES)
        )
    return {url: _open(url, number) for number, url in enumerate(urls, 1)}


def check_hosts(services: Iterable[Any]) -> None:
    """Raise ForbiddenAddress if the host in a service's URL is forbidden."""
    for service in services:
        # Other URLs have a token in place of the host, which must not be resolved.
        has_host = any("{host}" in template for template in service.templates)
        for host in (service.host if has_host else None, getattr(service, "smtp_host", None)):
            if host:
                check_host(host)


def deliver(services: Mapping[str, Any], **notification: Any) -> dict[str, Failure | None]:
    """Send to all at once, within `TIMEOUT_S`.

    Return the failure, or None, for each URL.
    """
    if not services:
        return {}
    # Apprise copies the context into its threads, so the check applies there too.
    with guarded_connections():
        results = _library().Apprise(list(services.values())).notify(timeout=TIMEOUT_S, **notification).results
    if len(results) != len(services):
        return dict.fromkeys(services, Failure(N_("the notification could not be prepared"), is_permanent=False))
    return {url: _failure(result) for url, result in zip(services, results, strict=True)}


@cache
def _library() -> Any:
    import apprise

    ignore_environment()  # it makes its own requests, and has no option to ignore proxies and .netrc
    # Its debug lines contain whole URLs; the channel reports what matters of a failure.
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    apprise.NotificationManager().disable(*LOCAL_SCHEMES)
    return apprise


def _open(url: str, number: int) -> Any:
    if url.partition("://")[0].lower() in UNCONFIRMED_SCHEMES:
        text = N_("Line {number} uses a protocol without delivery confirmation, which is not supported.")
        raise ValidationError(text.format(number=number))
    apprise = _library()
    asset = apprise.AppriseAsset(
        app_id="duplistatus",
        app_desc="duplistatus",
        storage_mode="memory",
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        service_timeout=TIMEOUT_S,
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        text = N_("Line {number} is not a supported Apprise URL.")
        raise ValidationError(text.format(number=number))
    files = (value for value in vars(service).values() if isinstance(value, apprise.AppriseAttachment))
    if any(len(value) for value in files):
        text = N_("Line {number} attaches a file, which is not allowed.")
        raise ValidationError(text.format(number=number))
    _restrict(service, apprise)
    return service


def _restrict(service: Any, apprise: Any) -> None:
    """Reset what options of a URL may have set.

    The application retries, and needs real results.
    """
    service.redirects = False
    service.retry = 0
    service.optional = False
    service.tags = set()
    service.socket_connect_timeout = min(service.socket_connect_timeout, CONNECT_TIMEOUT_S)
    service.socket_read_timeout = min(service.socket_read_timeout, READ_TIMEOUT_S)
    if "overflow_mode" not in vars(service):
        service.overflow_mode = apprise.OverflowMode.TRUNCATE  # else a long message is rejected, and lost


def _failure(result: Any) -> Failure | None:
    if result:
        return None
    if result.status.name == "TIMEOUT":
        return Failure(N_("{service} did not answer in time").format(service=result.name), is_permanent=False)
    found = STATUS.findall(" ".join(entry.message for entry in result.logs()))
    if not found:
        text = N_("{service} could not be reached or rejected the notification")
        return Failure(text.format(service=result.name), is_permanent=False)
    status = int(found[-1])
    is_permanent = 300 <= status < 500 and status not in PASSING_STATUSES
    answer = f"{status} {responses.get(status, '')}".strip()
    return Failure(N_("{service} answered {answer}").format(service=result.name, answer=answer), is_permanent)
