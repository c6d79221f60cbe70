"""Where a Duplicati server listens: what people type and what is stored, read into scheme, host and port."""

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
    """What was given leads nowhere. The text is for people."""


@dataclass(frozen=True, slots=True)
class Address:
    """Scheme, host and port of a Duplicati server; the host without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """Host and port, as in an address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """The address as it is stored, always with its port."""
        return f"{self.scheme}://{self.place}"


def read_stored(url: str) -> Address:
    """The address in the stored URL of a server; a port that is missing is that of the scheme. Raises BadAddress."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise BadAddress("Invalid server URL format") from None
    if parts.scheme not in PORTS or not parts.hostname or not is_host(parts.hostname):
        raise BadAddress("Invalid server URL format")
    return Address(parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port)


def read_typed(hostname: str, port: int | None = None, scheme: str = "") -> Address:
    """The address that people mean by a name, `name:port`, or a whole URL, in which case that says the scheme.

    Without any word on it the scheme is https: a password is sent in clear only when somebody asks for that. The
    port is 8200 unless it is given; one within the name wins. Raises BadAddress.
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
    """Whether a text is the name or the address of a machine."""
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return _NAME.fullmatch(text) is not None
    return True


def split_hosts(text: str) -> tuple[list[str], list[str]]:
    """The hosts in a list with commas, each once and in its order; and those that cannot be one."""
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
