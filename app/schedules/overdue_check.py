"""The overdue check: find overdue jobs and queue their notifications; its settings. Uses `Job.next_expected_at`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import fields
from sqlalchemy import ColumnElement, and_, func, or_, select, true, update
from sqlalchemy.orm import Session, load_only

from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, record_entry, record_setting
from app.backups.models import Job, Server
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, check_instant, declare
from app.notifications import outbox
from app.notifications.messages import OVERDUE
from app.plugin.marking import N_
from app.schedules import job_settings, next_run
from app.schedules.intervals import is_strict
from app.schedules.overdue import DEFAULT_FREQUENCY, FREQUENCIES, TOLERANCES, should_alert_again

NOTIFICATION_FREQUENCY = declare(
    Setting(
        "notification_frequency",
        str,
        default=DEFAULT_FREQUENCY,
        choices=tuple(FREQUENCIES),
        wire="value",
        attribute="frequency",
        is_required=True,
        label=N_("Reminder"),
        help=N_("How often to repeat an overdue alert"),
    )
)
LAST_CHECK = declare(Setting("last_overdue_check_at", str, default=None, shape=fields.String(validate=check_instant)))


# Maximum number of values in one statement.
JOBS_AT_ONCE = 1000
# Columns that a check of many jobs reads; a message about a single job reads the rest.
ALERT_COLUMNS = (
    Job.id,
    Job.server_id,
    Job.name,
    Job.notification_event,
    Job.channel_switches,
    Job.additional_event,
    Job.additional_emails,
    Job.additional_ntfy_topic,
    Job.expected_interval,
    Job.allowed_weekdays,
    Job.interval_source,
    Job.schedule_source,
    Job.schedule_anchor_at,
    Job.learned_schedule,
    Job.overdue_tolerance,
    Job.next_expected_at,
    Job.overdue_at,
    Job.state_began_at,
    Job.overdue_alerted_at,
)


@dataclass(frozen=True, slots=True)
class OverdueStatistics:
    """Result of one check: entries of settings, jobs checked, overdue, and notified."""

    settings_count: int
    checked_count: int
    overdue_count: int
    notified_count: int


def check_overdue(now: datetime, visible_server_ids: frozenset[str] | None) -> OverdueStatistics:
    """Queue a message for each overdue job that needs one.

    Store the time of the check.

    The rows of these jobs are locked while their messages are queued, so that concurrent checks notify only once. Only
    jobs of `visible_server_ids` are checked and counted (None means all).
    """
    is_visible = _is_of(visible_server_ids)
    job_count, checked_count, late_count = db.session.execute(
        select(func.count(), func.count().filter(_is_checked()), func.count().filter(_is_overdue(now)))
        .select_from(Job)
        .where(is_visible)
    ).one()
    due = _find_due(now, is_visible)
    notified_count = _notify(due, now) if due else 0
    if visible_server_ids is None:
        settings_store.save("last_overdue_check_at", now.isoformat(timespec="milliseconds"), now=now)
    if notified_count:
        outbox.queued.send()
    # wire: the defaults of a server's jobs count as an entry too
    settings_count = job_count + job_settings.count_defaults(visible_server_ids)
    return OverdueStatistics(settings_count, checked_count, late_count, notified_count)


def count_overdue(now: datetime) -> int:
    """Return the number of overdue jobs with notifications that are not muted."""
    late = select(func.count()).select_from(Job).join(Server).where(_is_overdue(now), ~muted_condition(now))
    return db.session.scalar(late) or 0


def is_anything_checked() -> bool:
    """Return whether the overdue check is on for any job with a run."""
    return db.session.scalar(select(Job.id).where(_is_checked()).limit(1)) is not None


def recalculate_all(visible_server_ids: frozenset[str] | None) -> None:
    """Recompute the next run of jobs with runs on these servers (None means all)."""
    with writing() as session:
        for job in session.scalars(select(Job).where(Job.run_count > 0, _is_of(visible_server_ids))):
            next_run.recalculate_next_run(job)


def reset_alerts(visible_server_ids: frozenset[str] | None) -> None:
    """Reset the alerts of overdue jobs of these servers (None means all).

    The next check notifies again.
    """
    was_told = (Job.overdue_alerted_at.is_not(None), _is_of(visible_server_ids))
    with writing() as session:
        session.execute(update(Job).where(*was_told).values(overdue_alerted_at=None))


def check_now(visible_server_ids: frozenset[str] | None, *, actor: Actor, now: datetime) -> OverdueStatistics:
    """Recalculate the schedules of these servers (None means all), check their jobs and record the actor."""
    recalculate_all(visible_server_ids)
    found = check_overdue(now, visible_server_ids)
    details = {
        "checkedBackups": found.checked_count,
        "overdueBackupsFound": found.overdue_count,
        "notificationsSent": found.notified_count,
    }
    record_entry("overdue_check_manual", "system", now=now, actor=actor, details=details)
    return found


def clear_notification_times(visible_server_ids: frozenset[str] | None, *, actor: Actor, now: datetime) -> str:
    """Reset the alerts of these servers (None means all) and record who asked for it. Return the recorded sentence."""
    reset_alerts(visible_server_ids)
    message = "Overdue backup notification timestamps cleared successfully"
    record_entry("overdue_notifications_reset", "system", now=now, actor=actor, details={"message": message})
    return message


def save_tolerance(tolerance: str, *, actor: Actor, now: datetime) -> None:
    """Save the grace period and reschedule every job.

    Whether an early run counts depends on it.
    """
    if tolerance not in TOLERANCES:
        raise Refused("tolerance_unknown", "tolerance", tolerance=tolerance)
    with writing():
        old = settings_store.get("overdue_tolerance")
        settings_store.save("overdue_tolerance", tolerance, now=now)
        recalculate_all(ALL_SERVERS)
        details = {"oldValue": old, "newValue": tolerance}
        record_setting("overdue_tolerance_updated", "overdue_tolerance", details, actor=actor, now=now)


def save_frequency(frequency: str, *, actor: Actor, now: datetime) -> None:
    """Save how often an overdue notification is repeated."""
    if frequency not in FREQUENCIES:
        raise Refused("frequency_unknown", "frequency", frequency=frequency)
    with writing():
        settings_store.save("notification_frequency", frequency, now=now)
        details = {"value": frequency}
        record_setting("notification_frequency_updated", "notification_frequency", details, actor=actor, now=now)


def last_check_at() -> datetime | None:
    """Return the start of the last check."""
    stored = settings_store.get("last_overdue_check_at")
    return None if stored is None else datetime.fromisoformat(stored)


def _is_of(visible_server_ids: frozenset[str] | None) -> ColumnElement[bool]:
    return true() if visible_server_ids is None else Job.server_id.in_(visible_server_ids)


def _is_checked() -> ColumnElement[bool]:
    return Job.is_overdue_check_enabled & Job.last_began_at.is_not(None)


def _is_overdue(now: datetime) -> ColumnElement[bool]:
    """Return `overdue.is_overdue` as a condition, for jobs that are checked."""
    return _is_checked() & (Job.overdue_at < now)


def _find_due(now: datetime, is_visible: ColumnElement[bool]) -> list[int]:
    """Return the jobs to notify of, by server and name."""
    columns = (Job.id, Job.overdue_alerted_at, Job.state_began_at)
    is_late = (is_visible, _is_overdue(now), ~muted_condition(now))
    late = select(*columns).join(Server).where(*is_late).order_by(Server.name, Job.name)
    frequency = _frequency()
    return [
        row.id
        for row in db.session.execute(late)
        if should_alert_again(row.overdue_alerted_at, row.state_began_at, frequency, now)
    ]


def muted_condition(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a job or its joined server is muted; as `outbox.is_muted` decides for one."""
    return or_(*(_is_muted(table, now) for table in (Job, Server)))


def _is_muted(table: type[Job] | type[Server], now: datetime) -> ColumnElement[bool]:
    has_begun = or_(table.muted_from.is_(None), table.muted_from <= now)
    # The first part prevents NULL, whose negation is NULL.
    return and_(table.muted_until.is_not(None), table.muted_until > now, has_begun)


def _frequency() -> str:
    stored = settings_store.get("notification_frequency")
    return stored if stored in FREQUENCIES else DEFAULT_FREQUENCY


def _notify(job_ids: list[int], now: datetime) -> int:
    """Queue the messages of these jobs in one transaction; return how many jobs.

    Jobs that a concurrent check notified, or that reported meanwhile, are skipped. Jobs that are overdue at one check
    share one message.
    """
    with writing() as session:
        late = [
            (server, job)
            for start in range(0, len(job_ids), JOBS_AT_ONCE)
            for server, job in _lock_overdue(session, job_ids[start : start + JOBS_AT_ONCE], now)
        ]
        heard = outbox.queue_overdue_messages(session, late, now)
        # By statement: writing ten thousand objects back took longer than all the rest.
        _mark(session, [job.id for _, job in late], overdue_alerted_at=now)
        since_at = func.coalesce(Job.trouble_since_at, Job.next_expected_at)
        _mark(session, sorted(heard), trouble_kind=OVERDUE, trouble_since_at=since_at)
        session.expire_all()  # objects loaded before are stale
    return len(late)


def _mark(session: Session, job_ids: list[int], **values: Any) -> None:
    for start in range(0, len(job_ids), JOBS_AT_ONCE):
        chosen = Job.id.in_(job_ids[start : start + JOBS_AT_ONCE])
        session.execute(update(Job).where(chosen).values(values), execution_options={"synchronize_session": False})


def _lock_overdue(session: Session, job_ids: list[int], now: datetime) -> list[tuple[Server, Job]]:
    frequency = _frequency()
    rows = session.execute(
        select(Server, Job)
        .join(Job, Job.server_id == Server.id)
        .where(Job.id.in_(job_ids), _is_overdue(now), ~muted_condition(now))
        .order_by(Server.name, Job.name)
        .options(load_only(*ALERT_COLUMNS))
        .with_for_update(of=Job)
        .execution_options(populate_existing=True)
    )
    return [
        (server, job)
        for server, job in rows
        if should_alert_again(job.overdue_alerted_at, job.state_began_at, frequency, now)
        and is_strict(job.expected_interval)
    ]
