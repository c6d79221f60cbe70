"""Holds requests to the allow lists, and probes from elsewhere to a rate."""

import logging
from datetime import datetime

from flask import request

from app.api.client import client_address, is_behind_untrusted_proxy
from app.contracts.errors import Forbidden, TooManyRequests
from app.domain.addresses import rate_key
from app.services import clock, untrusted_proxies
from app.services.database_faults import DATABASE_ERRORS
from app.services.network_access import Zone, allow_lists, known_lists
from app.services.rate_limits import limiter

log = logging.getLogger(__name__)

# Per minute and per hour, for those whom no list names.
PROBE_RATES = {"monitoring.ping": (60, 600), "monitoring.show": (30, 120)}
REFUSALS_LOGGED_PER_MINUTE = 1
UNKNOWN_ADDRESS = "Your address is not known: the proxy on this machine is not named in IP_TRUSTED_PROXIES"


def check(zone: Zone) -> None:
    """Let the client into the zone. Raises Forbidden, or TooManyRequests."""
    address = client_address()
    if is_behind_untrusted_proxy():
        untrusted_proxies.note(clock.now())
    if _is_admitted(zone, address):
        return
    now = clock.now()
    if zone is Zone.PROBES:
        _limit_probe(address, now)
        return
    refusals = limiter("logged refusals", REFUSALS_LOGGED_PER_MINUTE, REFUSALS_LOGGED_PER_MINUTE)
    if refusals.allow(rate_key(address), now) is None:
        log.warning("%s is on no allow list and was refused at %s", address, request.path)
    sentence = UNKNOWN_ADDRESS if is_behind_untrusted_proxy() else "Your address is not allowed here"
    raise Forbidden(sentence, errorCode="IP_NOT_ALLOWED")


def _is_admitted(zone: Zone, address: str) -> bool:
    """Whether a list names the address; a probe has to be answered, slowly, where the lists cannot be read."""
    try:
        lists = known_lists() if zone is Zone.PROBES else allow_lists()
        return lists.admit(zone, address)
    except DATABASE_ERRORS:
        if zone is Zone.PROBES:
            return False
        raise


def _limit_probe(address: str, now: datetime) -> None:
    for minutes, most in zip((1, 60), PROBE_RATES.get(request.endpoint or "", ()), strict=False):
        name = f"{request.endpoint} in {minutes} minutes"
        retry_after_s = limiter(name, most / minutes, most).allow(rate_key(address), now)
        if retry_after_s is not None:
            sentence = "Too many probes from this address, try again later"
            raise TooManyRequests(sentence, retry_after_s, errorCode="PROBE_RATE_LIMITED")
