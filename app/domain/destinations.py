"""Whether an address still means the server that it meant before: what was kept for one must not reach another."""

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def leads_elsewhere(before: str, after: str) -> bool:
    """Whether what is sent to an address reaches another server now, or the same one without TLS.

    Addresses are URLs or bare host names. The path does not count, and neither does a change from http to https, each
    at its usual port. An address that cannot be read leads elsewhere, unless it stayed as it was.
    """
    if before.strip() == after.strip():
        return False
    try:
        old_scheme, *old_place = _parts(before)
        new_scheme, *new_place = _parts(after)
    except ValueError:
        return True
    is_upgrade = (old_scheme, new_scheme) == ("http", "https")
    if is_upgrade and (old_place[1], new_place[1]) == (DEFAULT_PORTS["http"], DEFAULT_PORTS["https"]):
        return old_place[0] != new_place[0]
    return old_place != new_place or not (is_upgrade or old_scheme == new_scheme)


def _parts(address: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; a bare host name has neither scheme nor port. Raises ValueError."""
    text = address.strip()
    parts = urlsplit(text if "://" in text else f"//{text}")
    if not parts.hostname:
        raise ValueError("an address without a host")
    return parts.scheme, parts.hostname.rstrip("."), parts.port or DEFAULT_PORTS.get(parts.scheme)
