"""Who is to be told what: the event rule, the additional destinations, and what they inherit."""

from datetime import datetime

from app.domain.statuses import SUCCESS, is_failure

OFF, ERRORS, WARNINGS, ALL = "off", "errors", "warnings", "all"
EVENTS = (ALL, WARNINGS, ERRORS, OFF)


def is_told(event: str, status: str, error_count: int) -> bool:
    """Whether a run is told to those who asked for `event`. A word that we do not know means everything."""
    if event == OFF:
        return False
    if event == ERRORS:
        return is_failure(status) or error_count > 0
    return event != WARNINGS or status != SUCCESS


def inherited(own: str | None, from_server: str | None, otherwise: str = "") -> str:
    """A job's own value, an empty text too; else that of its server; else the third."""
    if own is not None:
        return own
    return otherwise if from_server is None else from_server


def mail_addresses(text: str) -> tuple[str, ...]:
    """The addresses of a comma list, each once and in its order; parts without `@` are left out."""
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if "@" in part))


def is_muted(until: datetime | None, now: datetime, *, since: datetime | None = None) -> bool:
    """Whether messages are held back at this instant; `since` is when a maintenance that was announced begins."""
    return until is not None and now < until and (since is None or since <= now)


def shorten(text: str, limit: int | None, *, in_bytes: bool = False) -> str:
    """The text, cut to a limit of characters (or UTF-8 bytes) with an ellipsis at its end; None is no limit."""
    if limit is None or (len(text.encode()) if in_bytes else len(text)) <= limit:
        return text
    if not in_bytes:
        return text[: max(limit - 1, 0)].rstrip() + "…"
    return text.encode()[: max(limit - len("…".encode()), 0)].decode(errors="ignore").rstrip() + "…"
