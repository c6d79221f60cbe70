"""Looks for jobs that should have reported, and has people told. The plan stands with each job already."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update

from app.domain.intervals import is_strict
from app.domain.notices import is_muted
from app.domain.overdue import DEFAULT_FREQUENCY, FREQUENCIES, TOLERANCES, should_alert_again
from app.extensions import db
from app.models import Job, Server
from app.services import configuration, outbox, planning
from app.services.transaction import writing

# Uploads wait while messages are queued: about a tenth of a second for as many.
JOBS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class OverdueStatistics:
    """What one check found: all jobs, those that were looked at, the late ones, and how many were told."""

    job_count: int
    checked_count: int
    overdue_count: int
    told_count: int


def find_overdue(now: datetime) -> list[Job]:
    """The jobs that are late, by their planned time."""
    wanted = select(Job).join(Server).where(_is_overdue(now)).order_by(Server.name, Job.name)
    return list(db.session.scalars(wanted))


def check_overdue(now: datetime) -> OverdueStatistics:
    """Queue a message for each late job whose turn it is, and remember when this check was.

    The rows of these jobs are locked while their messages are queued, so two checks at once tell nothing twice.
    """
    job_count, checked_count = db.session.execute(
        select(func.count(), func.count().filter(_is_checked())).select_from(Job)
    ).one()
    late = db.session.execute(select(Job.id, Job.overdue_alerted_at, Job.last_began_at).where(_is_overdue(now))).all()
    frequency = _frequency()
    due = [row.id for row in late if should_alert_again(row.overdue_alerted_at, row.last_began_at, frequency, now)]
    told_count = sum(_tell(due[start : start + JOBS_AT_ONCE], now) for start in range(0, len(due), JOBS_AT_ONCE))
    configuration.put("last_overdue_check_at", now.isoformat(timespec="milliseconds"), now=now)
    if told_count:
        outbox.queued.send()
    return OverdueStatistics(job_count, checked_count, len(late), told_count)


def replan_all() -> None:
    """Work out the plan of every job anew."""
    with writing() as session:
        for job in session.scalars(select(Job)):
            planning.replan(job)


def forget_alerts() -> None:
    """Forget when people were told of late jobs, so that the next check tells them all."""
    with writing() as session:
        session.execute(update(Job).where(Job.overdue_alerted_at.is_not(None)).values(overdue_alerted_at=None))


def last_check_at() -> datetime | None:
    """When the last check began."""
    stored = configuration.get("last_overdue_check_at")
    return None if stored is None else datetime.fromisoformat(stored)


def _tolerance() -> timedelta:
    return TOLERANCES[configuration.get("overdue_tolerance")]


def _is_checked() -> ColumnElement[bool]:
    return Job.is_overdue_check_enabled & Job.last_began_at.is_not(None)


def _is_overdue(now: datetime) -> ColumnElement[bool]:
    return _is_checked() & (Job.next_expected_at < now - _tolerance())


def _frequency() -> str:
    stored = configuration.get("notification_frequency")
    return stored if stored in FREQUENCIES else DEFAULT_FREQUENCY


def _tell(job_ids: list[int], now: datetime) -> int:
    """Queue the messages of these jobs; one that another check told meanwhile, or that reported, is left out."""
    told_count, frequency = 0, _frequency()
    with writing() as session:
        rows = session.execute(
            select(Job, Server)
            .join(Server)
            .where(Job.id.in_(job_ids), _is_overdue(now))
            .order_by(Server.name, Job.name)
            .with_for_update(of=Job)
            .execution_options(populate_existing=True)
        )
        for job, server in rows:
            is_held_back = is_muted(job.muted_until, now) or is_muted(server.muted_until, now)
            is_turn = should_alert_again(job.overdue_alerted_at, job.last_began_at, frequency, now)
            if is_turn and not is_held_back and is_strict(job.expected_interval):
                outbox.queue_overdue_messages(session, server, job, now)
                job.overdue_alerted_at = now
                told_count += 1
    return told_count
