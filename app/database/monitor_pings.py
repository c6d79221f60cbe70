"""Pings that tell an outside service that we work, in the forms that known services take.

Healthchecks: https://healthchecks.io/docs/http_api/; Uptime Kuma: its monitor of type "Push"; Gatus: its external
endpoints, https://github.com/TwiN/gatus#external-endpoints.
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
    """One request to make."""

    method: str
    url: str
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def recognise(url: str) -> str:
    """Return the service that an address belongs to, by its form; OTHER for one that is not known."""
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
    """Return the request that says that all is well, or with a reason that it is not.

    None for bad news to a service that knows no address for it: it notices that the pings stop.
    """
    if service == HEALTHCHECKS:
        return Ping("POST", _below(url, "/fail"), reason) if reason else Ping("GET", url)
    if service == UPTIME_KUMA:
        said = {"status": "down", "msg": reason[:_LONGEST_REASON]} if reason else {"status": "up", "msg": "OK"}
        return Ping("GET", _with_query(url, {**said, "ping": ""}))
    if service == GATUS:
        said = {"success": "false", "error": reason[:_LONGEST_REASON]} if reason else {"success": "true"}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Ping("POST", _with_query(url, said), headers=headers)
    return None if reason else Ping("GET", url)


def _below(url: str, suffix: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _with_query(url: str, said: dict[str, str]) -> str:
    """Replace what the address says of the state already; anything else stays."""
    parts = urlsplit(url)
    ours = {"status", "msg", "ping", "success", "error", "duration"}
    others = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in ours]
    return urlunsplit(parts._replace(query=urlencode([*others, *said.items()])))
