"""Lists of runs: pages of a server's history, newest runs, status of days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import InstrumentedAttribute

from app.backups.models import Job, JobDay, Run, RunLog, Server
from app.backups.overview import RunDetail
from app.backups.run_logs import RunLogTexts, read_log
from app.charts.series import EPOCH_DAY
from app.core.db.orm import AnyRow, db
from app.core.errors import Refused
from app.reports.decoding import SCHEDULED
from app.reports.outcomes import ERROR, FATAL, SUCCESS, UNKNOWN, WARNING, severity_of

STATUS_RANKS = {status: index for index, status in enumerate((FATAL, ERROR, UNKNOWN, WARNING, SUCCESS))}
# Columns for sorting besides the two below, which are not numbers.
NUMBERS: dict[str, InstrumentedAttribute[Any]] = {
    "date": Run.began_at,
    "warnings": Run.warning_count,
    "errors": Run.error_count,
    "versions": Run.version_count,
    "files": Run.examined_files,
    "size": Run.examined_bytes,
    "uploaded": Run.uploaded_bytes,
    "duration": Run.duration_s,
    "storage": Run.storage_bytes,
}


def list_page(
    job_names: Mapping[int, str],
    *,
    order: str = "date",
    is_descending: bool = True,
    offset: int = 0,
    limit: int,
) -> list[AnyRow]:
    """Return one page of runs of the given jobs as rows of (Run, job name).

    `job_names` maps ids to names. Equal runs are sorted newest first. Names are sorted in Python, since the order of
    texts differs between databases. Statuses are sorted by severity.
    """
    if order == "job":
        ranks = sorted(job_names, key=lambda job_id: (job_names[job_id].casefold(), job_names[job_id]))
        key: Any = case({job_id: rank for rank, job_id in enumerate(ranks)}, value=Run.job_id, else_=len(ranks))
    elif order == "status":
        key = case(STATUS_RANKS, value=Run.status, else_=STATUS_RANKS[UNKNOWN])
    else:
        key = NUMBERS[order]
    statement = select(Run, Job.name.label("job_name")).join(Job, Job.id == Run.job_id)
    statement = statement.where(Run.job_id.in_(job_names))
    statement = statement.order_by(key.desc() if is_descending else key, Run.began_at.desc(), Run.row_id.desc())
    return list(db.session.execute(statement.offset(offset).limit(limit)))


def run_before(detail: RunDetail) -> Run | None:
    """Return the previous run of the same job; None for the first."""
    if detail.previous_id is None:
        return None
    return db.session.scalars(select(Run).where(Run.id == detail.previous_id)).one_or_none()


# The newest run of each job of a server, with its log, for widgets


class LatestRun(NamedTuple):
    """A run with the name of its job and its texts."""

    run: Run
    job_name: str
    log: RunLogTexts


class UnknownServer(Refused):
    """No server has this id or name."""

    def __init__(self, identifier: str) -> None:
        super().__init__("server_unknown", body={"message": f"No server has the id or the name {identifier!r}"})


class AmbiguousName(Refused):
    """Several servers share the name; only an id is unambiguous."""

    def __init__(self, name: str, servers: list[Server]) -> None:
        ids = ", ".join(server.id for server in servers)
        super().__init__(
            "server_name_ambiguous",
            body={
                "message": f"Ask for one of them by its id: {ids}",
                "duplicate_servers": [{"id": server.id, "name": server.name} for server in servers],
            },
            name=name,
        )


def newest_of_server(identifier: str) -> tuple[Server, list[LatestRun]]:
    """Return a server by id or exact name, and each job's newest run, newest first.

    Raises UnknownServer and AmbiguousName.
    """
    server = db.session.get(Server, identifier) or _named(identifier)
    rows = db.session.execute(
        select(Run, Job.name, RunLog.packed)
        .join(Job, Job.last_run_id == Run.id)
        .outerjoin(RunLog, RunLog.run_row_id == Run.row_id)
        .where(Job.server_id == server.id, Job.operation.in_(SCHEDULED))
        .order_by(Run.began_at.desc(), Run.row_id.desc())
    )
    return server, [LatestRun(run, name, read_log(packed)) for run, name, packed in rows]


def _named(name: str) -> Server:
    servers = list(db.session.scalars(select(Server).where(Server.name == name).order_by(Server.created_at, Server.id)))
    if not servers:
        raise UnknownServer(name)
    if len(servers) > 1:
        raise AmbiguousName(name, servers)
    return servers[0]


# The status of each day, for one job, a server, or all visible servers


@dataclass(frozen=True, slots=True)
class DayState:
    """One UTC day. Each job that ran on it is counted once, by its worst run."""

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
    """Return the days with runs from `start_on` to `end_on`, both included, oldest first."""
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
    for number, *counts in db.session.execute(statement.group_by(JobDay.day).order_by(JobDay.day)):
        day = EPOCH_DAY + timedelta(days=number)
        found[day] = DayState(day, *(int(count) for count in counts))
    return found


def _count_where(claim: ColumnElement[bool]) -> Any:
    return func.sum(case((claim, 1), else_=0))
