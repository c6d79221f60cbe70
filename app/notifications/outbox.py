"""The outbox: what is to be told is a row, written in the transaction of the event that it tells of.

So an upload never waits for a mail server, and a crash between storing and sending loses nothing.
`services.delivery` sends the rows.
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
from app.core.db.extensions import db
from app.core.db.transaction import insert_for, run_in_batches, writing
from app.core.instants import to_milliseconds
from app.notifications import channels, messages, summary_settings
from app.notifications.models import Channel, Delivery, DeliveryState, Urgency
from app.notifications.rules import (
    OFF,
    Incident,
    Recipients,
    Verdict,
    inherited,
    is_muted,
    judge,
    mail_addresses,
    should_notify,
)
from app.reports.outcomes import WARNING
from app.reports.report import Report

DELIVERIES = Delivery.__table__
ROWS_AT_ONCE = 1_000
# The audit log names this many jobs of a message that tells of several.
JOBS_NAMED = 25

# Sent, by whoever queued something, once that is committed.
queued = signal("duplistatus-outbox-queued")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one message goes: the channel's own destination, or an additional one of the same channel."""

    channel_id: int
    target: str = ""


class Routes(NamedTuple):
    """The channels that messages can go through, and those whose own destination takes messages about single jobs."""

    usable: Sequence[Channel]
    standard: Sequence[Channel]


def needs_notification(server: Server, job: Job, report: Report, now: datetime) -> bool:
    """Whether a run that is stored means anything to anybody; most are fine, and then nothing more need be read."""
    verdict = _judge(server, job, report)
    means_something = bool(verdict.run or verdict.recovered) or verdict.trouble != _trouble(job)
    return means_something and not is_held_back(server, job, now)


def queue_run_messages(session: Session, server: Server, job: Job, report: Report, run_id: str, now: datetime) -> int:
    """Queue what a new run has to tell, within the transaction that stores it; returns the number of messages.

    The job has the run among its figures already. Whether it is in trouble is written down with it.
    """
    if not needs_notification(server, job, report, now):
        return 0
    verdict, before = _judge(server, job, report), _trouble(job)
    ways = _find_ways()
    audit = _audit_details("backup", server, job, report.status)
    count = 0
    if destinations := _destinations(server, job, verdict.run, ways):
        notice = messages.render_run(server, job, report, run_id)
        count += queue_notice(session, notice, destinations, f"run:{run_id}", now, job_id=job.id, audit=audit)
    if before and (destinations := _destinations(server, job, verdict.recovered, ways)):
        notice = messages.render_recovered(server, job, report, run_id, before, now)
        count += queue_notice(session, notice, destinations, f"recovered:{run_id}", now, job_id=job.id, audit=audit)
    if verdict.trouble is None or count:  # trouble that nobody was told of is none to come back from
        _keep_trouble(job, verdict.trouble)
    return count


def queue_overdue_messages(session: Session, late: Sequence[tuple[Server, Job]], now: datetime) -> frozenset[int]:
    """Queue what there is to say about jobs that are late at one check: one message for each destination.

    The standard event is not looked at, an additional one that is `off` is. Returns the numbers of the jobs that
    anybody is told of; that they are in trouble is for the caller to write down.
    """
    groups = group_by_destination(late)
    for destinations, jobs in groups:
        _queue_overdue_group(session, jobs, destinations, now)
    return frozenset(job.id for _, jobs in groups for _, job in jobs)


def all_destinations() -> list[Destination]:
    """The own destinations of all channels that messages can go through."""
    return [Destination(row.id) for row in channels.usable()]


def group_by_destination(
    jobs: Sequence[tuple[Server, Job]],
) -> list[tuple[list[Destination], list[tuple[Server, Job]]]]:
    """Group jobs by where messages about them go that do not depend on the event filter, as those about overdue jobs.

    Each destination stands in one group, a job may stand in several. Jobs of which nobody hears are left out.
    """
    ways = _find_ways()
    found: dict[Destination, list[tuple[Server, Job]]] = {}
    for server, job in jobs:
        hearing = Recipients(standard=True, additional=_additional_event(server, job) != OFF)
        for destination in _destinations(server, job, hearing, ways):
            found.setdefault(destination, []).append((server, job))
    # Most destinations hear of the same jobs: each set of them is put into words once.
    groups: dict[tuple[int, ...], list[Destination]] = {}
    for destination, pairs in found.items():
        groups.setdefault(tuple(job.id for _, job in pairs), []).append(destination)
    return [(destinations, found[destinations[0]]) for destinations in groups.values()]


def warning_destinations(server: Server, job: Job) -> list[Destination]:
    """Return where messages about runs of a job go that end with a warning."""
    events = (job.notification_event, _additional_event(server, job))
    return _destinations(server, job, Recipients(*(should_notify(event, WARNING, 0) for event in events)), _find_ways())


def queue_notice(
    session: Session,
    notice: messages.RenderedMessage,
    destinations: Iterable[Destination],
    event_key: str,
    now: datetime,
    *,
    job_id: int | None = None,
    job_ids: Sequence[int] = (),
    audit: Mapping[str, Any] | None = None,
) -> int:
    """Add one row for each destination; what was queued for it under this key before is left alone.

    `job_ids` are the jobs of a message about several. Returns the number of new rows. The caller sends `queued` after
    the commit.
    """
    payload = notice.payload() | {"audit": dict(audit or {"type": notice.event})}
    if job_ids:
        payload["job_ids"] = list(job_ids)
    rows = [
        {
            "idempotency_key": str(uuid.uuid4()),
            "event": notice.event,
            "event_key": event_key,
            "channel_id": destination.channel_id,
            "job_id": job_id,
            "target": destination.target,
            "payload": payload,
            "state": DeliveryState.QUEUED,
            "urgency": Urgency.TROUBLE if notice.is_trouble else Urgency.USUAL,
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
    """How many deliveries ended and are older than a number of days."""
    return db.session.scalar(select(func.count()).select_from(DELIVERIES).where(*_is_past(days, now))) or 0


def purge_history(now: datetime, days: int) -> int:
    """Delete deliveries that ended and are older than a number of days; returns how many."""
    oldest = select(DELIVERIES.c.id).where(*_is_past(days, now)).limit(ROWS_AT_ONCE)

    def delete_some() -> int:
        with writing() as session:
            return session.connection().execute(delete(DELIVERIES).where(DELIVERIES.c.id.in_(oldest))).rowcount

    return run_in_batches(delete_some)


def _is_past(days: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    ended = DELIVERIES.c.state.in_((DeliveryState.DELIVERED, DeliveryState.FAILED))
    return ended, DELIVERIES.c.created_at < now - timedelta(days=days)


def _judge(server: Server, job: Job, report: Report) -> Verdict:
    return judge(
        status=report.status,
        error_count=report.error_count,
        began_at=report.began_at,
        is_newest=job.state_began_at is None or report.began_at >= job.state_began_at,
        has_saved=report.counts,
        standard_event=job.notification_event,
        additional_event=_additional_event(server, job),
        trouble=_trouble(job),
    )


def _trouble(job: Job) -> Incident | None:
    if job.trouble_kind is None or job.trouble_since_at is None:
        return None
    return Incident(job.trouble_kind, job.trouble_since_at)


def _keep_trouble(job: Job, trouble: Incident | None) -> None:
    job.trouble_kind, job.trouble_since_at = (trouble.kind, trouble.since_at) if trouble else (None, None)


def is_held_back(server: Server, job: Job, now: datetime) -> bool:
    """Whether messages about a job are held back now, by its own mute or its server's."""
    return any(is_muted(owner.muted_until, now, since=owner.muted_from) for owner in (job, server))


def _additional_event(server: Server, job: Job) -> str:
    return inherited(job.additional_event, server.additional_event, job.notification_event)


def _find_ways() -> Routes:
    """Found once for each event: for thousands of late jobs the questions would take longer than the answers."""
    usable = channels.usable()
    return Routes(usable, [row for row in usable if not summary_settings.is_paused(row)])


def _destinations(server: Server, job: Job, hearing: Recipients, ways: Routes) -> list[Destination]:
    found = [Destination(row.id) for row in ways.standard if hearing.standard and job.wants(row.kind)]
    if hearing.additional:
        found += _additional_destinations(server, job, ways.usable)
    return found


def _additional_destinations(server: Server, job: Job, usable: Iterable[Channel]) -> list[Destination]:
    """Extra addresses and an extra topic: they use the standard mail and ntfy channel, whatever the job's switches."""
    addresses = mail_addresses(inherited(job.additional_emails, server.additional_emails))
    topic = inherited(job.additional_ntfy_topic, server.additional_ntfy_topic).strip()
    targets = {channels.EMAIL: addresses, channels.NTFY: (topic,) if topic else ()}
    return [
        Destination(row.id, target) for row in usable if row.name == row.kind for target in targets.get(row.kind, ())
    ]


def _queue_overdue_group(
    session: Session, late: Sequence[tuple[Server, Job]], destinations: Iterable[Destination], now: datetime
) -> None:
    # Two checks at once share no job, so the first one's number tells their messages apart.
    event_key = f"overdue:{late[0][1].id}:{to_milliseconds(now)}"
    if len(late) == 1:
        [(server, job)] = late
        audit, notice = _audit_details("overdue", server, job, None), messages.render_overdue(server, job, now)
        queue_notice(session, notice, destinations, event_key, now, job_id=job.id, audit=audit)
        return
    names = [f"{server.name}:{job.name}" for server, job in late[:JOBS_NAMED]]
    audit = {"type": "overdue", "backupCount": len(late), "backups": names}
    notice = replace(messages.render_overdue_list(late), event_at=now)
    job_ids = [job.id for _, job in late]
    queue_notice(session, notice, destinations, event_key, now, job_ids=job_ids, audit=audit)


def _audit_details(kind: str, server: Server, job: Job, status: str | None) -> dict[str, Any]:
    details = {"type": kind, "serverId": server.id, "serverName": server.name, "backupName": job.name}
    return details | ({"backupStatus": status} if status is not None else {})


@lru_cache
def _insert_new(dialect: str) -> Any:
    """The statement, built once: that took a third of the time of queueing."""
    return insert_for(dialect)(DELIVERIES).on_conflict_do_nothing()
