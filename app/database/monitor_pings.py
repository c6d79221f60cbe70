"""Build pings in the formats of known external monitors.

Healthchecks: https://healthchecks.io/docs/http_api/; Uptime Kuma: monitors of type "Push"; Gatus: external endpoints,
https://github.com/TwiN/gatus#external-endpoints.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

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
