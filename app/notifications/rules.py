"""Notification rules: event filter, inherited additional destinations, mutes, incidents."""

from dataclasses import dataclass
from datetime import datetime

from app.reports.outcomes import SUCCESS, is_failure

OFF, ERRORS, WARNINGS, ALL = "off", "errors", "warnings", "all"
EVENTS = (ALL, WARNINGS, ERRORS, OFF)


def should_notify(event: str, status: str, error_count: int) -> bool:
    """Whether a run matches the event filter `event`.

    An unknown value means all runs.
    """
    if event == OFF:
        return False
    if event == ERRORS:
        return is_failure(status) or error_count > 0
    return event != WARNINGS or status != SUCCESS


def inherited(own: str | None, from_server: str | None, otherwise: str = "") -> str:
    """Return a job's own value, even if empty; else its server's; else `otherwise`."""
    if own is not None:
        return own
    return otherwise if from_server is None else from_server


def email_addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of a comma list, unique and in order.

    Parts without `@` are omitted.
    """
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if "@" in part))


def is_muted(until: datetime | None, now: datetime, *, since: datetime | None = None) -> bool:
    """Whether a mute is active at this time.

    `since` is the begin of planned maintenance.
    """
    return until is not None and now < until and (since is None or since <= now)


def shorten(text: str, limit: int | None, *, in_bytes: bool = False) -> str:
    """Shorten a text with an ellipsis to a limit of characters or UTF-8 bytes.

    None means no limit.
    """
    if limit is None or (len(text.encode()) if in_bytes else len(text)) <= limit:
        return text
    if not in_bytes:
        return text[: max(limit - 1, 0)].rstrip() + "…"
    return text.encode()[: max(limit - len("…".encode()), 0)].decode(errors="ignore").rstrip() + "…"


# Incident state per job, so that one recovery notification is sent per incident.

OVERDUE = "Overdue"


@dataclass(frozen=True, slots=True)
class Incident:
    """Open incident of a job and its begin.

    `kind` is `Overdue` or the status of its last failed run.
    """

    kind: str
    since_at: datetime


@dataclass(frozen=True, slots=True)
class Recipients:
    """Which of two kinds of destinations are notified of a run: standard and additional ones."""

    standard: bool
    additional: bool

    def __bool__(self) -> bool:
        """Whether anyone is notified."""
        return self.standard or self.additional


@dataclass(frozen=True, slots=True)
class NotificationDecision:
    """Recipients of the notification and of the recovery of a run, and the incident left open."""

    run: Recipients
    recovered: Recipients
    incident: Incident | None


NOBODY = Recipients(False, False)


def decide_notifications(
    *,
    status: str,
    error_count: int,
    began_at: datetime,
    is_newest: bool,
    has_saved: bool = True,
    standard_event: str,
    additional_event: str,
    incident: Incident | None,
) -> NotificationDecision:
    """Decide the notifications of a run.

    Only the newest run of a job opens or closes an incident, unless it saved nothing. A successful run closes it. So
    does one with warnings if nobody is notified of warnings, or if the job was only overdue: then the warning shows
    that it ran. Recipients of a recovery get no second message about the run.
    """
    run = Recipients(
        should_notify(standard_event, status, error_count), should_notify(additional_event, status, error_count)
    )
    if not (is_newest and has_saved):
        return NotificationDecision(run, NOBODY, incident)
    if is_failure(status) or error_count:
        opened = Incident(status, incident.since_at if incident else began_at)
        return NotificationDecision(run, NOBODY, opened if run and is_failure(status) else incident)
    is_fine = status == SUCCESS
    if incident is None or not (is_fine or incident.kind == OVERDUE or not run.standard):
        return NotificationDecision(run, NOBODY, incident)
    # Overdue alerts ignore the standard event.
    informed = Recipients(incident.kind == OVERDUE or standard_event != OFF, additional_event != OFF)
    recovered = Recipients(
        informed.standard and (is_fine or not run.standard), informed.additional and (is_fine or not run.additional)
    )
    rest = Recipients(run.standard and not recovered.standard, run.additional and not recovered.additional)
    return NotificationDecision(rest, recovered, None)
