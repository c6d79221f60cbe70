"""How each day went: for one job, a server, or all that a viewer may see."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from app.domain.statuses import ERROR, WARNING, severity_of
from app.extensions import db
from app.models import Job, JobDay
from app.services.charts import EPOCH_DAY


@dataclass(frozen=True, slots=True)
class DayState:
    """One UTC day. Of the jobs that ran on it, each is counted once, by its worst run."""

    day: date
    run_count: int
    job_count: int
    warned_count: int
    failed_count: int


def day_states(
    start_on: date,
    end_on: date,
    *,
    server_id: str | None = None,
    job_name: str | None = None,
    visible_server_ids: frozenset[str] | None,
) -> dict[date, DayState]:
    """The days with runs from `start_on` to `end_on`, both included, in one statement."""
    failed, warned = severity_of(ERROR), severity_of(WARNING)
    statement = select(
        JobDay.day,
        func.sum(JobDay.run_count),
        func.count(),
        _count_where(JobDay.worst_status == warned),
        _count_where(JobDay.worst_status >= failed),
    ).where(JobDay.day.between((start_on - EPOCH_DAY).days, (end_on - EPOCH_DAY).days))
    if (server_id, job_name, visible_server_ids) != (None, None, None):
        statement = statement.join(Job, Job.id == JobDay.job_id)
    if server_id is not None:
        statement = statement.where(Job.server_id == server_id)
    if job_name is not None:
        statement = statement.where(Job.name == job_name)
    if visible_server_ids is not None:
        statement = statement.where(Job.server_id.in_(visible_server_ids))
    found = {}
    for number, *counts in db.session.execute(statement.group_by(JobDay.day)):
        day = EPOCH_DAY + timedelta(days=number)
        found[day] = DayState(day, *(int(count) for count in counts))
    return found


def _count_where(claim: ColumnElement[bool]) -> Any:
    return func.sum(case((claim, 1), else_=0))
