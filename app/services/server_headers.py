"""Extra request headers of a server, stored encrypted: for a proxy with a sign-in in front of its Duplicati."""

from collections.abc import Mapping
from typing import Any

import orjson

from app.domain.duplicati_addresses import Address
from app.models import Server
from app.services import secrets


def seal_headers(headers: Mapping[str, str]) -> str:
    """Return headers as they are stored; empty for none."""
    return secrets.encrypt(orjson.dumps(dict(headers)).decode()) if headers else ""


def open_headers(server: Server) -> dict[str, str]:
    """Return the headers of a server. Raises `Undecryptable` and what else reading the key raises."""
    stored: Any = orjson.loads(secrets.decrypt(server.encrypted_headers)) if server.encrypted_headers else {}
    return {str(name): str(value) for name, value in stored.items()}


def names_of_headers(server: Server) -> tuple[str, ...]:
    """Return the names of the headers of a server; none where the key does not open them."""
    try:
        return tuple(open_headers(server))
    except (secrets.Undecryptable, secrets.KeyUnusable, OSError):
        return ()


def headers_for(server: Server, address: Address, stored: Address | None) -> dict[str, str]:
    """Return the headers that may go to an address: those of the server if it is the one that is stored, else none.

    Raises as `open_headers`.
    """
    return open_headers(server) if address == stored else {}
