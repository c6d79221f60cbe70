"""Parse entered and stored addresses of Duplicati servers: scheme, host and port."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

HTTPS, HTTP = "https", "http"
STANDARD_PORT = 8200
PORTS = {HTTPS: 443, HTTP: 80}
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)


class BadAddress(ValueError):
    """Invalid address. The text is for users."""


@dataclass(frozen=True, slots=True)
class Address:
    """Scheme, host and port of a Duplicati server; the host without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Host and port as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Return the address as stored, always with its port."""
        return f"{self.scheme}://{self.netloc}"


def read_stored(url: str) -> Address:
    """Parse a server's stored URL. Raise BadAddress.

    A missing port is the default of the scheme.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise BadAddress("Invalid server URL format") from None
    if parts.scheme not in PORTS or not parts.hostname or not is_host(parts.hostname):
        raise BadAddress("Invalid server URL format")
    return Address(parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port)


def read_typed(hostname: str, port: int | None = None, scheme: str = "") -> Address:
    """Parse an entered name, `name:port`, or URL. Raise BadAddress.

    The default scheme is https, so that a password is sent unencrypted only on request. The default port is 8200; a
    port within the name takes precedence over `port`, the scheme of a URL over `scheme`.
    """
    text = hostname.strip()
    if "://" in text:
        address = read_stored(text)
        is_bare = _port_in(text) is None
        return Address(scheme or address.scheme, address.host, _checked(port)) if is_bare else address
    if is_host(text.strip("[]")):
        return Address(scheme or HTTPS, text.strip("[]"), _checked(port))
    address = read_stored(f"{scheme or HTTPS}://{text}")
    return address if _port_in(f"//{text}") is not None else Address(address.scheme, address.host, _checked(port))


def is_host(text: str) -> bool:
    """Return whether a text is a host name or IP address."""
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return _NAME.fullmatch(text) is not None
    return True


def split_hosts(text: str) -> tuple[list[str], list[str]]:
    """Return the hosts of a comma-separated list, each once, and the invalid entries."""
    typed = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    wrong = [host for host in typed if not _is_typed_host(host)]
    return typed, wrong


def _is_typed_host(text: str) -> bool:
    try:
        read_typed(text)
    except BadAddress:
        return False
    return True


def _port_in(text: str) -> int | None:
    return urlsplit(text).port


def _checked(port: int | None) -> int:
    if port is not None and not 1 <= port <= 65535:
        raise BadAddress("The port must be between 1 and 65535")
    return port or STANDARD_PORT
