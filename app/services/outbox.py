"""The outbox: what is to be told is a row, written in the transaction of the event that it tells of.

So an upload never waits for a mail server, and a crash between storing and sending loses nothing.
`services.delivery` sends the rows.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from blinker import signal
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.domain.notices import OFF, inherited, is_muted, is_told, mail_addresses
from app.domain.reports import Report
from app.extensions import db
from app.models import Channel, Delivery, DeliveryState, Job, Server
from app.models.types import to_milliseconds
from app.services import channels, messages
from app.services.delivery import deliver_due
from app.services.transaction import writing
from app.services.turns import in_turns

__all__ = ["count_old", "deliver_due", "purge_history", "queue_overdue_messages", "queue_run_messages", "queued"]

DELIVERIES = Delivery.__table__
ROWS_AT_ONCE = 1_000

# Sent, by whoever queued something, once that is committed.
queued = signal("duplistatus-outbox-queued")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one message goes: the channel's own destination, or an additional one of the same channel."""

    channel_id: int
    target: str = ""


def has_to_tell(server: Server, job: Job, report: Report, now: datetime) -> bool:
    """Whether anybody wants to hear of this run; most runs are fine, and then nothing more need be read."""
    events = (job.notification_event, _additional_event(server, job))
    is_told_any = any(is_told(event, report.status, report.error_count) for event in events)
    return is_told_any and not _is_muted(server, job, now)


def queue_run_messages(session: Session, server: Server, job: Job, report: Report, run_id: str, now: datetime) -> int:
    """Queue what a new run has to tell, within the transaction that stores it; returns the number of messages."""
    if not has_to_tell(server, job, report, now):
        return 0
    destinations = _destinations(
        server,
        job,
        standard=is_told(job.notification_event, report.status, report.error_count),
        additional=is_told(_additional_event(server, job), report.status, report.error_count),
    )
    if not destinations:
        return 0
    notice = messages.render_run(server, job, report)
    payload = notice.payload() | {"audit": _audit_details("backup", server, job, report.status)}
    return _insert(session, destinations, notice.event, f"run:{run_id}", job.id, payload, now)


def queue_overdue_messages(session: Session, server: Server, job: Job, now: datetime) -> int:
    """Queue what there is to say about a late job; the standard event is not looked at, additional `off` is."""
    additional = _additional_event(server, job) != OFF
    destinations = _destinations(server, job, standard=True, additional=additional)
    if not destinations:
        return 0
    notice = messages.render_overdue(server, job, now)
    payload = notice.payload() | {"audit": _audit_details("overdue", server, job, None)}
    return _insert(
        session, destinations, notice.event, f"overdue:{job.id}:{to_milliseconds(now)}", job.id, payload, now
    )


def count_old(days: int, now: datetime) -> int:
    """How many deliveries ended and are older than a number of days."""
    return db.session.scalar(select(func.count()).select_from(DELIVERIES).where(*_is_past(days, now))) or 0


def purge_history(now: datetime, days: int) -> int:
    """Delete deliveries that ended and are older than a number of days; returns how many."""
    oldest = select(DELIVERIES.c.id).where(*_is_past(days, now)).limit(ROWS_AT_ONCE)

    def delete_some() -> int:
        with writing() as session:
            return session.connection().execute(delete(DELIVERIES).where(DELIVERIES.c.id.in_(oldest))).rowcount

    return in_turns(delete_some)


def _is_past(days: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    ended = DELIVERIES.c.state.in_((DeliveryState.DELIVERED, DeliveryState.FAILED))
    return ended, DELIVERIES.c.created_at < now - timedelta(days=days)


def _is_muted(server: Server, job: Job, now: datetime) -> bool:
    return is_muted(job.muted_until, now) or is_muted(server.muted_until, now)


def _additional_event(server: Server, job: Job) -> str:
    return inherited(job.additional_event, server.additional_event, job.notification_event)


def _destinations(server: Server, job: Job, *, standard: bool, additional: bool) -> list[Destination]:
    usable = channels.usable()
    found = [Destination(row.id) for row in usable if standard and job.wants(row.kind)]
    if additional:
        found += _additional_destinations(server, job, usable)
    return found


def _additional_destinations(server: Server, job: Job, usable: Iterable[Channel]) -> list[Destination]:
    """Extra addresses and an extra topic: they use the standard mail and ntfy channel, whatever the job's switches."""
    standard = {row.kind: row for row in usable if row.name == row.kind}
    found = []
    if mail := standard.get(channels.EMAIL):
        addresses = mail_addresses(inherited(job.additional_emails, server.additional_emails))
        found += [Destination(mail.id, address) for address in addresses]
    topic = inherited(job.additional_ntfy_topic, server.additional_ntfy_topic).strip()
    if topic and (ntfy := standard.get(channels.NTFY)):
        found.append(Destination(ntfy.id, topic))
    return found


def _audit_details(kind: str, server: Server, job: Job, status: str | None) -> dict[str, Any]:
    details = {"type": kind, "serverId": server.id, "serverName": server.name, "backupName": job.name}
    return details | ({"backupStatus": status} if status is not None else {})


def _insert(
    session: Session,
    destinations: Iterable[Destination],
    event: str,
    event_key: str,
    job_id: int,
    payload: dict[str, Any],
    now: datetime,
) -> int:
    """Add one row for each destination; an event that was queued for it before is left alone."""
    rows = [
        {
            "idempotency_key": str(uuid.uuid4()),
            "event": event,
            "event_key": event_key,
            "channel_id": destination.channel_id,
            "job_id": job_id,
            "target": destination.target,
            "payload": payload,
            "state": DeliveryState.QUEUED,
            "attempts": 0,
            "next_attempt_at": now,
            "created_at": now,
        }
        for destination in destinations
    ]
    connection = session.connection()
    result = connection.execute(
        _insert_new(connection.dialect.name), rows, execution_options={"preserve_rowcount": True}
    )
    return result.rowcount


@lru_cache
def _insert_new(dialect: str) -> Any:
    """The statement, built once: that took a third of the time of queueing."""
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(DELIVERIES).on_conflict_do_nothing()
