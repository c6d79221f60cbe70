"""Proxies on this machine that are not trusted: remembered, so that people are told what to set.

Where no list and no rate can know the client, all clients of such a proxy count as one of unknown address.
"""

import logging
from datetime import datetime, timedelta

from flask import current_app

from app.domain.old_settings import read_time
from app.services import configuration
from app.services.database_faults import DATABASE_ERRORS

log = logging.getLogger(__name__)

SEEN_AT = "untrusted_proxy_seen_at"
NOTED_AT = "duplistatus.untrusted_proxy_noted_at"
# Written once a day at most; what is older than two has been put right.
NOTED_EACH, REMEMBERED = timedelta(days=1), timedelta(days=2)
WARNING = (
    "requests come through a proxy on this machine that is not trusted, so all its clients count as one unknown"
    " address; set IP_TRUSTED_PROXIES to the address from which it connects, for example 127.0.0.1"
)


def note(now: datetime) -> None:
    """Remember that such a request came. Never fails: it is about the proxy, and not about the request."""
    noted_at: datetime | None = current_app.extensions.get(NOTED_AT)
    if noted_at is not None and now - noted_at < NOTED_EACH:
        return
    current_app.extensions[NOTED_AT] = now
    log.warning(WARNING)
    try:
        seen_at = read_time(configuration.get(SEEN_AT))
        if seen_at is None or now - seen_at >= NOTED_EACH:
            configuration.save(SEEN_AT, now.isoformat(), now=now)
    except DATABASE_ERRORS:
        log.exception("it could not be remembered that a proxy is not trusted")


def last_seen_at(now: datetime) -> datetime | None:
    """When such a request came; None when none came lately."""
    seen_at = read_time(configuration.get(SEEN_AT))
    return seen_at if seen_at is not None and now - seen_at < REMEMBERED else None
