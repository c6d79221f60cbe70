"""Reads the log of a job page by page, newest first."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.services.collect.client import Duplicati, TooLarge
from app.services.collect.failures import CollectFailure, Reason

# Duplicati gives no more entries at once, and no fewer than ten, whatever is asked for.
LARGEST_PAGE, SMALLEST_PAGE = 500, 10
# Duplicati keeps thirty days: hourly runs are 720 entries, in smallest pages 72.
MOST_ENTRIES, MOST_REQUESTS = 12_500, 150


def log_pages(duplicati: Duplicati, job_id: str) -> Iterator[Any]:
    """Give the pages of a log until one is empty or brings nothing new; each entry once.

    A page may be smaller than was asked for, as a server may have a limit of its own. Where a page is too large to be
    read, half as many entries are asked for. An answer that is no list is given as it came. Raises CollectFailure and
    DatabaseLocked.
    """
    size, before_id, count = LARGEST_PAGE, None, 0
    for _request in range(MOST_REQUESTS):
        try:
            page = duplicati.log(job_id, size, before_id)
        except TooLarge:
            size = _smaller(size)
            continue
        if not isinstance(page, list):
            yield page
            return
        # A server that knows no `offset` begins again with the newest.
        new = [entry for entry in page if before_id is None or _is_before(entry, before_id)]
        if new or before_id is None:
            yield new
        ids = [number for number in map(_id_of, new) if number is not None]
        count += len(ids)
        if not ids or count >= MOST_ENTRIES:
            return
        before_id = min(ids)


def _smaller(size: int) -> int:
    if size <= SMALLEST_PAGE:
        raise CollectFailure(Reason.TOO_LARGE, "The log is too large to be read")
    return max(size // 2, SMALLEST_PAGE)


def _is_before(entry: Any, entry_id: int) -> bool:
    number = _id_of(entry)
    return number is not None and number < entry_id


def _id_of(entry: Any) -> int | None:
    """The number of an entry, which may be written as a text."""
    number = entry.get("ID") if isinstance(entry, Mapping) else None
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 19:
        number = int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) else None
