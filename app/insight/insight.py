"""Anomalies and growth of jobs, stored with each new run, and their notifications."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from app.audit.log import Actor, record_entry
from app.backups.models import Job, JobDay, Server
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.instants import day_of, to_milliseconds
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.insight.anomalies import ANOMALY_LIMITS, DURATION, SIZE, UPLOAD, Anomaly, Limits, follow_anomalies
from app.insight.forecasts import (
    DAYS_SEEN,
    LEAST_DAYS,
    LONGEST_PAUSE,
    WARNING_DAYS,
    free_bytes,
    full_at,
    growth_a_day,
    is_space_again,
    next_warning,
    weekly_points,
)
from app.notifications import messages, outbox
from app.notifications.default_templates import figure_line, full_line, full_now
from app.notifications.messages import count_text, date_text, day_text, in_days_text, size_text
from app.notifications.templates import render
from app.plugin import Severity
from app.plugin.marking import N_
from app.reports.decoding import SCHEDULED, human_duration
from app.reports.outcomes import unpack_runs
from app.schedules import overdue_check

DAYS = JobDay.__table__
# Built once, for each upload in a new week.
STORED_DAYS = (
    select(DAYS.c.day, DAYS.c.last_storage_bytes)
    .where(DAYS.c.job_id == bindparam("job_id"))
    .order_by(DAYS.c.day.desc())
    .limit(DAYS_SEEN)
)


def limits() -> Limits:
    """Return the current limits."""
    return Limits.read(settings_store.get(ANOMALY_LIMITS.name))


def anomalies_of(recent_runs: bytes | None, before: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the anomalies of the last of a job's packed runs, as stored.

    `before` are the stored ones, of the same run or the one before it.
    """
    known = [Anomaly(**stored) for stored in before]
    return [anomaly.stored() for anomaly in follow_anomalies(unpack_runs(recent_runs), limits(), known)]


def growth_of(session: Session, job_id: int) -> float | None:
    """Return the growth of a job's destination in bytes per day, from recent months."""
    newest_first = [tuple(row) for row in session.execute(STORED_DAYS, {"job_id": job_id})]
    return growth_a_day(weekly_points((day, stored) for day, stored in reversed(newest_first)))


def change_limits(changes: Mapping[str, Any], *, actor: Actor, now: datetime) -> Limits:
    """Change some of the limits, and check the newest run of every job again.

    Returns all limits.
    """
    with writing() as session:
        changed = Limits.read(asdict(limits()) | dict(changes))
        settings_store.save(ANOMALY_LIMITS.name, asdict(changed), now=now)
        for job in session.scalars(select(Job).where(Job.run_count > 0)):
            job.anomalies = anomalies_of(job.recent_runs, job.anomalies)
        record_entry("anomaly_limits_updated", "settings", now=now, actor=actor, details=asdict(changed))
    return changed


def change_quota(server_id: str, job_name: str, quota_bytes: int | None, *, actor: Actor, now: datetime) -> None:
    """Set the size of a job's destination; None uses the reported one.

    Raise Refused (404).
    """
    with writing() as session:
        job = session.scalar(select(Job).where(Job.server_id == server_id, Job.name == job_name))
        if job is None:
            raise Refused("job_not_found")
        job.quota_bytes = quota_bytes
        details = {"serverId": server_id, "backupName": job_name, "quotaBytes": quota_bytes}
        record_entry("quota_updated", "backup", now=now, actor=actor, target_type="server", details=details)


# Notifications of unusual runs, and of destinations that will be full.
#
# Sent once when a figure becomes unusual, and not again while it remains so.

DESTINATION_FULL = declare(
    Setting(
        "destination_full_alarm",
        bool,
        default=True,
        wire="destinationFull",
        attribute="notifies_full",
        label=N_("Notify about full destinations"),
        help=N_("Once when a destination will be full in less than 30 days, and once in less than 7."),
    )
)


def needs_notification(job: Any, run_id: str) -> bool:
    """Return whether to notify of a run that was just stored, judging by its job.

    It must be the newest run, with an anomaly that was not notified yet. `job` may be any object with the attributes of
    `Job`.
    """
    is_new = any(not anomaly.get("is_notified") for anomaly in job.anomalies)
    return is_new and job.state_run_id == run_id and limits().tells


def queue_message(session: Session, server: Server, job: Job, run_id: str, now: datetime) -> int:
    """Queue the message about an unusual run in the current transaction.

    It has the destinations of the job's warnings. Returns the number of messages.
    """
    if not needs_notification(job, run_id) or outbox.is_muted_now(server, job, now):
        return 0
    destinations = outbox.warning_destinations(server, job)
    if not destinations:
        return 0
    anomalies = [Anomaly(**stored) for stored in job.anomalies]
    job.anomalies = [replace(anomaly, is_notified=True).stored() for anomaly in anomalies]
    audit = {"type": "unusual", "serverId": server.id, "serverName": server.name, "backupName": job.name}
    notice = _render(server, job, run_id, [anomaly for anomaly in anomalies if not anomaly.is_past])
    return outbox.queue_message(session, notice, destinations, f"unusual:{run_id}", now, job_id=job.id, audit=audit)


def _render(server: Server, job: Job, run_id: str, anomalies: Iterable[Anomaly]) -> messages.RenderedMessage:
    code = messages.language()
    values = messages.server_values(server, job) | {
        "details_link": messages.run_link(server.id, run_id) or "",
        "backup_date": date_text(job.state_began_at, code),
        "figures": "\n".join(_line(anomaly, code) for anomaly in anomalies),
    }
    return messages.render_alarm("unusualRun", Severity.WARNING, values)


def _line(anomaly: Anomaly, language: str) -> str:
    value, usual = (_amount(anomaly.figure, amount, language) for amount in (anomaly.value, anomaly.usual))
    return f"• {figure_line(anomaly.figure, value, usual, language)}"


def _amount(figure: str, value: float, language: str) -> str:
    if figure == DURATION:
        return human_duration(value)
    return size_text(round(value), language) if figure in (SIZE, UPLOAD) else count_text(round(value), language)


# Destinations that will be full: one notification below 30 days, and one below 7

JOBS_AT_ONCE = 1000
COLUMNS = (
    Job.id,
    Job.last_storage_bytes,
    Job.quota_bytes,
    Job.last_quota_free_bytes,
    Job.growth_bytes,
    Job.last_began_at,
    Job.full_notified_days,
)
Pair = tuple[Server, Job]


class FullJob(NamedTuple):
    """A job whose destination will be full in less than some of `WARNING_DAYS`."""

    server: Server
    job: Job
    days: int


def check_destinations(now: datetime) -> int:
    """Queue the messages about destinations that will be full; return how many.

    Jobs that are due at one check share one message per destination of messages.
    """
    if not settings_store.read(DESTINATION_FULL):
        return 0
    changed = _find_changed(now)
    if not changed:
        return 0
    with writing() as session:
        due = {}
        for server, job in _lock(session, changed):
            if _has_space_again(job, now):
                job.full_notified_days = None
            if (days := _due(job, now)) is not None:
                due[job.id] = FullJob(server, job, days)
        groups = outbox.group_by_destination([(full.server, full.job) for full in due.values()])
        by_group = [(destinations, [due[job.id] for _, job in pairs]) for destinations, pairs in groups]
        count = sum(_queue(session, destinations, jobs, now) for destinations, jobs in by_group)
        # Without a destination of messages, the job is due again at the next check.
        for full in (full for _, jobs in by_group for full in jobs):
            full.job.full_notified_days = full.days
    return count


def _find_changed(now: datetime) -> list[int]:
    """Return the jobs to notify of, and those whose warnings can be reset."""
    is_known = or_(*(column.is_not(None) for column in (Job.quota_bytes, Job.last_quota_free_bytes)))
    is_meant = or_(is_known, Job.full_notified_days.is_not(None)), Job.operation.in_(SCHEDULED)
    muted = overdue_check.muted_condition(now).label("is_muted")
    rows = db.session.execute(select(*COLUMNS, muted).join(Server).where(*is_meant)).all()
    due = [row for row in rows if not row.is_muted and _due(row, now)]
    forgotten = [row.id for row in rows if row.full_notified_days is not None and _has_space_again(row, now)]
    return _with_enough_figures(due) + forgotten


def _with_enough_figures(rows: Sequence[Any]) -> list[int]:
    """Return the jobs with figures of four weeks, or with a full destination."""
    first_days: dict[int, int] = {}
    for start in range(0, len(rows), JOBS_AT_ONCE):
        ids = [row.id for row in rows[start : start + JOBS_AT_ONCE]]
        found = select(JobDay.job_id, func.min(JobDay.day).label("first_day")).where(JobDay.job_id.in_(ids))
        first_days |= {row.job_id: row.first_day for row in db.session.execute(found.group_by(JobDay.job_id))}
    return [row.id for row in rows if _free(row) == 0 or _days_seen(row, first_days) >= LEAST_DAYS]


def _days_seen(row: Any, first_days: Mapping[int, int]) -> int:
    last_day = day_of(row.last_began_at)
    return last_day - first_days.get(row.id, last_day)


def _lock(session: Session, job_ids: Sequence[int]) -> list[Pair]:
    """Lock the jobs with their servers, so that concurrent checks notify only once."""
    wanted = select(Server, Job).join(Job, Job.server_id == Server.id).order_by(Server.name, Job.name)
    wanted = wanted.with_for_update(of=Job).execution_options(populate_existing=True)
    return [
        (server, job)
        for start in range(0, len(job_ids), JOBS_AT_ONCE)
        for server, job in session.execute(wanted.where(Job.id.in_(job_ids[start : start + JOBS_AT_ONCE])))
    ]


def _free(job: Any) -> int | None:
    return free_bytes(job.last_storage_bytes, job.quota_bytes, job.last_quota_free_bytes)


def _full_at(job: Any) -> datetime | None:
    return full_at(_free(job), job.growth_bytes, job.last_began_at)


def _due(job: Any, now: datetime) -> int | None:
    """Return the number of days to warn of; `job` has the attributes of `COLUMNS`."""
    if job.last_began_at is None or job.last_began_at < now - LONGEST_PAUSE:
        return None
    return next_warning(_full_at(job), now, job.full_notified_days)


def _has_space_again(job: Any, now: datetime) -> bool:
    return is_space_again(_full_at(job), now, _free(job), job.last_storage_bytes)


def _queue(session: Session, destinations: Iterable[outbox.Destination], jobs: Sequence[FullJob], now: datetime) -> int:
    # Concurrent checks share no job, so the first job's number makes their messages distinct.
    event_key = f"full:{jobs[0].job.id}:{to_milliseconds(now)}"
    is_soon = any(full.days == min(WARNING_DAYS) for full in jobs)
    severity, priority = (Severity.ERROR, "high") if is_soon else (Severity.WARNING, "default")
    if len(jobs) == 1:
        [full] = jobs
        event, job_id, values = "destinationFull", full.job.id, _values(full, now)
        named = {"serverId": full.server.id, "serverName": full.server.name, "backupName": full.job.name}
        audit: dict[str, Any] = {"type": event, **named}
    else:
        event, job_id, values = "destinationsFull", None, _list_values(jobs, now)
        names = [f"{full.server.name}:{full.job.name}" for full in jobs[: outbox.JOBS_NAMED]]
        audit = {"type": event, "backupCount": len(jobs), "backups": names}
    notice = replace(messages.render_alarm(event, severity, values), priority=priority)
    return outbox.queue_message(session, notice, destinations, event_key, now, job_id=job_id, audit=audit)


def _values(full: FullJob, now: datetime) -> dict[str, str]:
    code = messages.language()
    at, growth = _full_at(full.job) or now, full.job.growth_bytes
    left = _free(full.job) or 0
    return messages.server_values(full.server, full.job) | {
        "when": in_days_text(max((at - now).days, 1), code) if left else full_now(code),
        "free_size": size_text(left, code),
        "growth_size": messages.NO_VALUE if growth is None or growth < 0 else size_text(round(growth), code),
        "full_date": day_text(messages.local_day(max(at, now)), code),
    }


def _list_values(jobs: Sequence[FullJob], now: datetime) -> dict[str, str]:
    code = messages.language()
    lines = [render(full_line(code), _values(full, now)) for full in jobs[: messages.JOBS_LISTED]]
    return {"count": count_text(len(jobs), code), "jobs": messages.job_list(lines, len(jobs), code)}
