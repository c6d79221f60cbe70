"""What answers of a Duplicati server mean that are not the ones that were asked for.

The recordings in `tests/data/duplicati/api` show them; those of Duplicati 2.0 are known from its source.
"""

from collections.abc import Mapping
from typing import Any

from app.domain.lenient_json import read_json

HOST_NAME_REFUSED = "invalid hostname"
HOST_HEADER_REFUSED = b"host header"
DATABASE_LOCKED = "DatabaseLocked"


def refuses_host_name(status: int, body: bytes) -> bool:
    """Return whether a Duplicati refused the name in the Host header, of which it knows only those it was given."""
    if status != 403:
        return False
    try:
        told = read_json(body)
    except ValueError:
        return HOST_HEADER_REFUSED in body.lower()  # Duplicati 2.0
    error = told.get("Error") if isinstance(told, Mapping) else None
    return isinstance(error, str) and error.lower().startswith(HOST_NAME_REFUSED)


def is_locked(status: int, value: Any) -> bool:
    """Return whether a job's database cannot be read since a run is using it."""
    return status == 400 and isinstance(value, Mapping) and value.get("HelpId") == DATABASE_LOCKED
