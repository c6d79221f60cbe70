"""Transactional outbox: decide who is notified of what, and queue the messages.

A notification is a row committed together with the event that caused it. So an upload never waits for a mail server,
and a crash between storing and sending loses nothing. `app.notifications.delivery` sends the rows.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from blinker import signal
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from app.backups.models import Job, Server
from app.core.db.orm import db, insert_for, run_in_batches, writing
from app.core.instants import to_milliseconds
from app.core.settings import store as settings_store
from app.notifications import channels, messages
from app.notifications.channels import email_addresses
from app.notifications.messages import OVERDUE, Incident
from app.notifications.models import Channel, Delivery, DeliveryState, Urgency
from app.notifications.summary_settings import SUMMARY
from app.reports.outcomes import SUCCESS, WARNING, is_failure
from app.reports.parser import Report

# Rules, pure functions: event filter, inherited additional destinations, mutes

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


def is_muted(until: datetime | None, now: datetime, *, since: datetime | None = None) -> bool:
    """Whether a mute is active at this time.

    `since` is the begin of planned maintenance.
    """
    return until is not None and now < until and (since is None or since <= now)


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


DELIVERIES = Delivery.__table__
ROWS_AT_ONCE = 1_000
# Maximum number of jobs that the audit log names for one message.
JOBS_NAMED = 25

# Sent by callers after the commit that queued messages.
queued = signal("duplistatus-outbox-queued")


@dataclass(frozen=True, slots=True)
class Destination:
    """Destination of a message: the channel's own, or an additional one of the same channel."""

    channel_id: int
    target: str = ""


class Routes(NamedTuple):
    """Usable channels, and those whose own destination gets notifications of single jobs."""

    usable: Sequence[Channel]
    standard: Sequence[Channel]


def needs_notification(server: Server, job: Job, report: Report, now: datetime) -> bool:
    """Whether a stored run may cause a notification.

    Most runs do not, and then nothing more is read.
    """
    decision = _decide(server, job, report)
    is_relevant = bool(decision.run or decision.recovered) or decision.incident != _incident(job)
    return is_relevant and not is_muted_now(server, job, now)


def queue_run_messages(session: Session, server: Server, job: Job, report: Report, run_id: str, now: datetime) -> int:
    """Queue the notifications of a new run in the transaction that stores it.

    Returns their number. The statistics of the job already include the run. Its incident is stored with it.
    """
    if not needs_notification(server, job, report, now):
        return 0
    decision, before = _decide(server, job, report), _incident(job)
    routes = _read_routes()
    audit = _audit_details("backup", server, job, report.status)
    count = 0
    if destinations := _destinations(server, job, decision.run, routes):
        message = messages.render_run(server, job, report, run_id)
        count += queue_message(session, message, destinations, f"run:{run_id}", now, job_id=job.id, audit=audit)
    if before and (destinations := _destinations(server, job, decision.recovered, routes)):
        message = messages.render_recovered(server, job, report, run_id, before, now)
        count += queue_message(session, message, destinations, f"recovered:{run_id}", now, job_id=job.id, audit=audit)
    if decision.incident is None or count:  # without an alert there is no recovery
        _save_incident(job, decision.incident)
    return count


def queue_overdue_messages(session: Session, late: Sequence[tuple[Server, Job]], now: datetime) -> frozenset[int]:
    """Queue the notifications of jobs overdue at one check: one message per destination.

    The standard event is ignored, an additional one that is `off` is not. Returns the ids of the jobs that anyone is
    notified of; the caller stores their incidents.
    """
    groups = group_by_destination(late)
    for destinations, jobs in groups:
        _queue_overdue_group(session, jobs, destinations, now)
    return frozenset(job.id for _, jobs in groups for _, job in jobs)


def all_destinations() -> list[Destination]:
    """Return the own destinations of all usable channels."""
    return [Destination(row.id) for row in channels.usable()]


def group_by_destination(
    jobs: Sequence[tuple[Server, Job]],
) -> list[tuple[list[Destination], list[tuple[Server, Job]]]]:
    """Group jobs by destination, for notifications that ignore the event filter.

    Each destination is in one group, a job may be in several. Jobs without destinations are omitted.
    """
    routes = _read_routes()
    found: dict[Destination, list[tuple[Server, Job]]] = {}
    for server, job in jobs:
        recipients = Recipients(standard=True, additional=_additional_event(server, job) != OFF)
        for destination in _destinations(server, job, recipients, routes):
            found.setdefault(destination, []).append((server, job))
    # Most destinations get the same jobs: each set of them is rendered once.
    groups: dict[tuple[int, ...], list[Destination]] = {}
    for destination, pairs in found.items():
        groups.setdefault(tuple(job.id for _, job in pairs), []).append(destination)
    return [(destinations, found[destinations[0]]) for destinations in groups.values()]


def warning_destinations(server: Server, job: Job) -> list[Destination]:
    """Return the destinations of runs of a job with warnings."""
    events = (job.notification_event, _additional_event(server, job))
    return _destinations(
        server, job, Recipients(*(should_notify(event, WARNING, 0) for event in events)), _read_routes()
    )


def queue_message(
    session: Session,
    message: messages.RenderedMessage,
    destinations: Iterable[Destination],
    event_key: str,
    now: datetime,
    *,
    job_id: int | None = None,
    job_ids: Sequence[int] = (),
    audit: Mapping[str, Any] | None = None,
) -> int:
    """Add one row per destination; rows queued earlier under this key are kept.

    `job_ids` are the jobs of a message about several. Returns the number of new rows. The caller sends `queued` after
    the commit.
    """
    payload = message.payload() | {"audit": dict(audit or {"type": message.event})}
    if job_ids:
        payload["job_ids"] = list(job_ids)
    rows = [
        {
            "idempotency_key": str(uuid.uuid4()),
            "event": message.event,
            "event_key": event_key,
            "channel_id": destination.channel_id,
            "job_id": job_id,
            "target": destination.target,
            "payload": payload,
            "state": DeliveryState.QUEUED,
            "urgency": Urgency.URGENT if message.is_urgent else Urgency.USUAL,
            "attempts": 0,
            "next_attempt_at": now,
            "created_at": now,
        }
        for destination in destinations
    ]
    if not rows:
        return 0
    connection = session.connection()
    result = connection.execute(
        _insert_new(connection.dialect.name), rows, execution_options={"preserve_rowcount": True}
    )
    return result.rowcount


def count_old(days: int, now: datetime) -> int:
    """Count finished deliveries older than a number of days."""
    return db.session.scalar(select(func.count()).select_from(DELIVERIES).where(*_is_past(days, now))) or 0


def purge_history(now: datetime, days: int) -> int:
    """Delete finished deliveries older than a number of days; return how many."""
    oldest = select(DELIVERIES.c.id).where(*_is_past(days, now)).limit(ROWS_AT_ONCE)

    def delete_some() -> int:
        with writing() as session:
            return session.connection().execute(delete(DELIVERIES).where(DELIVERIES.c.id.in_(oldest))).rowcount

    return run_in_batches(delete_some)


def _is_past(days: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    ended = DELIVERIES.c.state.in_((DeliveryState.DELIVERED, DeliveryState.FAILED))
    return ended, DELIVERIES.c.created_at < now - timedelta(days=days)


def _decide(server: Server, job: Job, report: Report) -> NotificationDecision:
    return decide_notifications(
        status=report.status,
        error_count=report.error_count,
        began_at=report.began_at,
        is_newest=job.state_began_at is None or report.began_at >= job.state_began_at,
        has_saved=report.counts,
        standard_event=job.notification_event,
        additional_event=_additional_event(server, job),
        incident=_incident(job),
    )


def _incident(job: Job) -> Incident | None:
    if job.trouble_kind is None or job.trouble_since_at is None:
        return None
    return Incident(job.trouble_kind, job.trouble_since_at)


def _save_incident(job: Job, incident: Incident | None) -> None:
    job.trouble_kind, job.trouble_since_at = (incident.kind, incident.since_at) if incident else (None, None)


def is_muted_now(server: Server, job: Job, now: datetime) -> bool:
    """Whether notifications of a job are muted now, by its own mute or its server's."""
    return any(is_muted(owner.muted_until, now, since=owner.muted_from) for owner in (job, server))


def _additional_event(server: Server, job: Job) -> str:
    return inherited(job.additional_event, server.additional_event, job.notification_event)


def _read_routes() -> Routes:
    """Read once per event: for thousands of overdue jobs the queries would take too long."""
    usable = channels.usable()
    return Routes(usable, [row for row in usable if not is_paused(row)])


def is_channel_on(job: Any, kind: str) -> bool:
    """Return whether a kind of channel is on for the messages of a job; default on."""
    return bool(job.channel_switches.get(kind, True))


def is_paused(row: Channel) -> bool:
    """Whether notifications of single jobs to a channel's own destination are paused.

    They are while the recipient gets the daily summary.
    """
    return row.kind == row.name == channels.EMAIL and bool(settings_store.get(SUMMARY).get("enabled"))


def _destinations(server: Server, job: Job, recipients: Recipients, routes: Routes) -> list[Destination]:
    found = [Destination(row.id) for row in routes.standard if recipients.standard and is_channel_on(job, row.kind)]
    if recipients.additional:
        found += _additional_destinations(server, job, routes.usable)
    return found


def _additional_destinations(server: Server, job: Job, usable: Iterable[Channel]) -> list[Destination]:
    """Return additional addresses and topic.

    They use the standard email and ntfy channels, whatever channels the job has enabled.
    """
    addresses = email_addresses(inherited(job.additional_emails, server.additional_emails))
    topic = inherited(job.additional_ntfy_topic, server.additional_ntfy_topic).strip()
    targets = {channels.EMAIL: addresses, channels.NTFY: (topic,) if topic else ()}
    return [
        Destination(row.id, target) for row in usable if row.name == row.kind for target in targets.get(row.kind, ())
    ]


def _queue_overdue_group(
    session: Session, late: Sequence[tuple[Server, Job]], destinations: Iterable[Destination], now: datetime
) -> None:
    # Concurrent checks share no job, so the first one's id distinguishes their messages.
    event_key = f"overdue:{late[0][1].id}:{to_milliseconds(now)}"
    if len(late) == 1:
        [(server, job)] = late
        audit, message = _audit_details("overdue", server, job, None), messages.render_overdue(server, job, now)
        queue_message(session, message, destinations, event_key, now, job_id=job.id, audit=audit)
        return
    names = [f"{server.name}:{job.name}" for server, job in late[:JOBS_NAMED]]
    audit = {"type": "overdue", "backupCount": len(late), "backups": names}
    message = replace(messages.render_overdue_list(late), event_at=now)
    job_ids = [job.id for _, job in late]
    queue_message(session, message, destinations, event_key, now, job_ids=job_ids, audit=audit)


def _audit_details(kind: str, server: Server, job: Job, status: str | None) -> dict[str, Any]:
    details = {"type": kind, "serverId": server.id, "serverName": server.name, "backupName": job.name}
    return details | ({"backupStatus": status} if status is not None else {})


@lru_cache
def _insert_new(dialect: str) -> Any:
    """The statement, built once: building it took a third of the time of queueing."""
    return insert_for(dialect)(DELIVERIES).on_conflict_do_nothing()
