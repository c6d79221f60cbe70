"""Remembers which jobs each Duplicati server listed, since one record may hold jobs of several.

It does so while the application runs.
"""

from collections.abc import Set

from flask import current_app

EXTENSION = "duplistatus.listed_jobs"
MOST_REMEMBERED = 1_000


def replace_listed(server_id: str, address: str, listed: Set[str], own: Set[str]) -> frozenset[str]:
    """Remember the jobs that the server at an address lists; return those of the record that it listed before alone.

    All are names; `own` are those of them that belong to the record `server_id`.
    """
    remembered: dict[tuple[str, str], frozenset[str]] = current_app.extensions.setdefault(EXTENSION, {})
    before = remembered.get((server_id, address), frozenset())
    if len(remembered) >= MOST_REMEMBERED:
        remembered.clear()
    remembered[server_id, address] = frozenset(own)
    return before - listed
