"""Receive an upload, and store its report as a run, in one transaction with everything that depends on it.

Unusable uploads are kept, see `app.reports.rejected`. The transaction writes the run, its log, the job's statistics,
the next expected run, the audit entry and the notifications. First the versions that the report lists are read: local
times in the language of the server, interpreted by `app.reports.versions` with the job's earlier runs.
"""

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, select, type_coerce, union_all
from sqlalchemy.orm import Session

from app import runtime
from app.audit.log import Actor, AuditEntry, record_entry
from app.backups import job_stats
from app.backups.merging import assign_id, find_server_id, has_provisional
from app.backups.models import Job, Run, RunLog, Server
from app.backups.run_logs import pack_log_quickly
from app.core.db.orm import AnyRow, insert_for, writing
from app.core.errors import Refused
from app.core.instants import MILLISECOND, iso, to_milliseconds
from app.core.settings import store as settings_store
from app.insight import insight
from app.notifications import outbox
from app.reports import reader_process
from app.reports.decoding import SYNC, is_packed, unpack
from app.reports.outcomes import ONE_SECOND, is_failure, unpack_runs, usual_interval
from app.reports.parser import (
    CLOCK_TOLERANCE,
    NO_FIGURES,
    WHOLE_SECONDS,
    Figure,
    Format,
    NotStored,
    Posted,
    Read,
    Report,
    Unusable,
    compress_body,
    correct_clock,
    read_posted,
)
from app.reports.rejected import audit_rejected, body_of, find_rejected, keep_rejected
from app.reports.versions import (
    KnownRun,
    SeenOffset,
    VersionList,
    VersionLog,
    add_offset,
    read_versions,
    seen_offsets,
    span_of,
)
from app.schedules import next_run

SERVERS, JOBS = Server.__table__, Job.__table__
RUNS, LOGS, AUDIT = Run.__table__, RunLog.__table__, AuditEntry.__table__
# More would slow down an upload: ten years of hourly runs are 87,600, and no list contains them all.
MOST_KNOWN_RUNS = 20_000
# A job's list differs from its previous one by a date or two. Reading thirty dates took 5 ms of an upload, and all
# hourly runs of two years ten times that; so the previous result is cached, for this many jobs.
MOST_LISTS, LONGEST_LIST = 1_000, 400
# Number of known dates that are read again together with the new ones, to keep the order of the list.
CONTEXT = 6
_lists: dict[tuple[str, str], dict[str, str]] = {}

# Raw milliseconds: converting hundreds of them to datetimes took longer than the rest of an upload.
BEGAN_MS, ENDED_MS, REPORTED_MS = (
    type_coerce(column, BigInteger) for column in (RUNS.c.began_at, RUNS.c.ended_at, RUNS.c.reported_began_at)
)
FIND_RUNS = (
    select(BEGAN_MS, ENDED_MS, REPORTED_MS)
    .where(RUNS.c.job_id == bindparam("job_id"), BEGAN_MS.between(bindparam("first"), bindparam("last")))
    .order_by(RUNS.c.began_at.desc())
    .limit(MOST_KNOWN_RUNS)
)
# Start of a run whose clock was ahead: as sent, and as corrected.
Clocks = tuple[datetime, datetime]
FIND_CORRECTED_RUNS = (
    select(RUNS.c.reported_began_at, RUNS.c.began_at)
    .where(RUNS.c.job_id == bindparam("job_id"), RUNS.c.reported_began_at.is_not(None))
    .order_by(RUNS.c.reported_began_at)
)


def with_versions(connection: Connection, server: Any, job_id: int, report: Report) -> Report:
    """Return the report with the versions that its log lists.

    `server` has the attributes of `Server`.
    """
    if not report.version_log.has_list:
        return report
    began_at = report.sent_began_at
    ended_at = began_at + (report.ended_at - report.began_at)
    offsets = seen_offsets(server.seen_offsets)
    if report.utc_offset_min is not None:
        offsets.append(SeenOffset(began_at, report.utc_offset_min))

    def read(version_log: VersionLog) -> VersionList:
        span = span_of(version_log, began_at)
        return read_versions(
            version_log,
            began_at=began_at,
            ended_at=ended_at,
            known_runs=_known_runs(connection, job_id, span) if span else (),
            seen_offsets=offsets,
            zone=runtime.settings().zone,
        )

    found = _read_incrementally((report.server_id, report.job_name), report.version_log, read)
    clocks = clock_corrected_runs(connection, job_id)
    if report.reported_began_at is not None:
        clocks.append((report.reported_began_at, report.began_at))
    return replace(
        report,
        available_versions=correct_versions(found.versions, clocks, report.ended_at),
        unread_versions=found.unread,
        not_told=report.not_told | missing_figures(found),
    )


def _read_incrementally(
    key: tuple[str, str], version_log: VersionLog, read: Callable[[VersionLog], VersionList]
) -> VersionList:
    """Read only the new dates of a list.

    The others are taken from the job's previous list.

    Some known dates are read again with the new ones. The list is read in full if it is not an extension of the
    previous one or if the dates that are read again give another result.
    """
    dates, deleted = version_log.dates, version_log.deleted_dates
    if len(dates) > LONGEST_LIST or len(set(dates)) < len(dates) or not set(deleted) <= set(dates):
        return read(version_log)
    before = _lists.get(key, {})
    new_count = next((index for index, date in enumerate(dates) if date in before), len(dates))
    short_count = new_count + CONTEXT
    known: dict[str, str] | None = None
    if short_count < len(dates) and all(date in before for date in dates[new_count:]):
        newest = read(version_log.newest(short_count))
        known = _by_date(dates[:short_count], newest)
        if known is not None:
            known = before | known
            if any(known[date] != before[date] for date in dates[new_count:]):
                known = None
    if known is None:
        known = _by_date(dates, read(VersionLog(version_log.considered)))
        if known is None:
            return read(version_log)
    if len(_lists) >= MOST_LISTS:
        _lists.clear()
    _lists[key] = {date: known[date] for date in dates}
    return VersionList(tuple(sorted((known[date] for date in dates if date not in deleted), reverse=True)))


def _by_date(dates: Sequence[str], found: VersionList) -> dict[str, str] | None:
    """Map the dates of the log to versions.

    None unless each date has its own version.
    """
    if len(found.versions) < len(dates):
        return None
    return {date: entry for date, entry in zip(dates, found.entries, strict=True) if entry is not None}


def clock_corrected_runs(connection: Connection, job_id: int) -> list[Clocks]:
    """Return the runs of a job whose server clock was ahead, oldest first."""
    return [(sent_at, began_at) for sent_at, began_at in connection.execute(FIND_CORRECTED_RUNS, {"job_id": job_id})]


def correct_versions(versions: Sequence[str], clocks: Sequence[Clocks], ended_at: datetime) -> tuple[str, ...]:
    """Return the versions, newest first, without the error of a wrong server clock.

    Versions of runs that are known with both times get the corrected time. Others that are later than `ended_at`, the
    end of the run that lists them, are set back by the clock error of the newest of those runs.
    """
    if not clocks:
        return tuple(versions)
    known = {_second(sent_at): _second(began_at) for sent_at, began_at in clocks}
    error, latest = clocks[-1][0] - clocks[-1][1], iso(ended_at)

    def corrected(version: str) -> str:
        if version in known or version <= latest:
            return known.get(version, version)
        return iso(datetime.fromisoformat(version) - error)

    return tuple(sorted({corrected(version) for version in versions}, reverse=True))


def _second(at: datetime) -> str:
    return iso(at.replace(microsecond=0))


def missing_figures(found: VersionList) -> Figure:
    """Return VERSION_LIST if no entry of the list can be read."""
    return Figure.VERSION_LIST if found.unread and not found.versions else Figure(0)


def _known_runs(connection: Connection, job_id: int, span: tuple[datetime, datetime]) -> list[KnownRun]:
    """Return the runs of a job that began within a span of their server's clock."""
    first, last = map(to_milliseconds, span)
    rows = connection.execute(FIND_RUNS, {"job_id": job_id, "first": first, "last": last})
    return [known_run(*row) for row in rows]


def known_run(began_ms: int, ended_ms: int, reported_ms: int | None) -> KnownRun:
    """Return a stored run with the times its server sent; milliseconds since 1970."""
    if reported_ms is None:
        return KnownRun(began_ms / 1000, ended_ms / 1000)
    return KnownRun(reported_ms / 1000, (reported_ms + ended_ms - began_ms) / 1000)


# Storing the run

log = logging.getLogger(__name__)

# Maximum distance between both formats of a run without results.
BOTH_FORMATS_WITHIN = timedelta(seconds=10)
# Maximum time between a failure and its report, while Duplicati keeps the error.
FAILURE_NOTED_WITHIN = timedelta(minutes=1)
RICHNESS: dict[int, int] = {Format.METADATA: 0, Format.TEXT: 1, Format.COLLECTED: 2, Format.JSON: 3}
# A clock error that differs by less from the known one is the same error.
CLOCK_STEP_S = 3600
# Built once: building a statement costs as much as executing it.
INSERT_LOG, INSERT_AUDIT = LOGS.insert(), AUDIT.insert()
FIND_SERVER = select(*SERVERS.c).where(SERVERS.c.id == bindparam("server_id"))
FIND_JOB = (
    select(*JOBS.c)
    .where(JOBS.c.server_id == bindparam("server_id"), JOBS.c.name == bindparam("job_name"))
    .with_for_update()
)
# Runs whose start, as sent, is in the same second as the report's.
_COPY_COLUMNS = (
    RUNS.c.row_id,
    RUNS.c.began_at,
    RUNS.c.ended_at,
    RUNS.c.reported_began_at,
    RUNS.c.format,
    RUNS.c.uploaded_bytes,
    RUNS.c.not_told,
    RUNS.c.duration_s,
    RUNS.c.status,
    RUNS.c.received_at,
)
# The newest run of a server for which its clock was ahead.
FIND_CORRECTED = (
    select(RUNS.c.reported_began_at, RUNS.c.began_at)
    .join(JOBS, JOBS.c.id == RUNS.c.job_id)
    .where(JOBS.c.server_id == bindparam("server_id"), RUNS.c.reported_began_at.is_not(None))
    .order_by(RUNS.c.received_at.desc())
    .limit(1)
)
FIND_COPIES = union_all(
    *(
        select(*_COPY_COLUMNS).where(
            RUNS.c.job_id == bindparam("job_id"),
            began_at >= bindparam("first", type_=RUNS.c.began_at.type),
            began_at < bindparam("last", type_=RUNS.c.began_at.type),
            is_sent,
        )
        for began_at, is_sent in (
            (RUNS.c.began_at, RUNS.c.reported_began_at.is_(None)),
            (RUNS.c.reported_began_at, RUNS.c.reported_began_at.is_not(None)),
        )
    )
)
FIND_RUN_BEFORE = (
    select(*_COPY_COLUMNS)
    .where(RUNS.c.job_id == bindparam("job_id"), RUNS.c.began_at < bindparam("last", type_=RUNS.c.began_at.type))
    .order_by(RUNS.c.began_at.desc())
    .limit(1)
)
FIND_NOTED_FAILURE = (
    select(*_COPY_COLUMNS)
    .where(
        RUNS.c.job_id == bindparam("job_id"),
        RUNS.c.began_at.between(
            bindparam("first", type_=RUNS.c.began_at.type), bindparam("last", type_=RUNS.c.began_at.type)
        ),
        RUNS.c.format == int(Format.METADATA),
        RUNS.c.status == "Fatal",
    )
    .order_by(RUNS.c.began_at)
    .limit(1)
)
UPDATE_JOB = JOBS.update().where(JOBS.c.id == bindparam("row_id"))
# Values that the collector sets on a job until its next run.
COLLECTED_COLUMNS = ("running_since_at", "collected_error", "collected_error_at")
CHANGED_COLUMNS = (
    *job_stats.STATISTICS,
    *next_run.TRACKED_COLUMNS,
    *COLLECTED_COLUMNS,
)  # what a run changes of its job
REPORTED = tuple(
    column.name for column in RUNS.columns if column.name in {field.name for field in fields(Report)}
)  # the run's columns that have the names of report fields
_reported_values: Callable[[Report], tuple[Any, ...]] = attrgetter(*REPORTED)


class DuplicateReport(Refused):
    """This run is stored already; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("report_duplicate")


class _NeedsId(Exception):
    """The server was known by name only, and now reports with an id."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run that was just stored, with its server and job as plain objects.

    The objects have the attributes of the models. `report` is the report as stored: with corrected times, and with the
    versions read.
    """

    run_id: str
    server: Any
    job: Any
    report: Report


def ingest_report(report: Report, *, now: datetime, actor: Actor, received_at: datetime | None = None) -> str | None:
    """Store a run and everything that depends on it; return its id after the commit.

    Unknown servers and jobs are created. Returns None for a run that is stored already and was now sent in another
    format. Raises DuplicateReport if the job has a run that began at the same millisecond, also if both arrive at once.
    `received_at` is the time of reception, if not now.
    """
    received_at = received_at or now
    try:
        return _ingest(report, now, actor, received_at)
    except _NeedsId:
        with writing() as session:
            assign_id(session, report.server_name, report.server_id, actor=actor, now=now)
        return _ingest(report, now, actor, received_at)


def _ingest(report: Report, now: datetime, actor: Actor, received_at: datetime) -> str | None:
    packed = pack_log(report)
    with writing(is_small=True) as session:
        stored = store_run(session, report, packed, received_at)
        if stored is None:
            return None
        server, job, report = stored.server, stored.job, stored.report
        session.connection().execute(INSERT_AUDIT, _audit_values(report, stored.run_id, now, actor))
        queued = 0
        if outbox.needs_notification(server, job, report, now) or insight.needs_notification(job, stored.run_id):
            full_server, full_job = session.get_one(Server, server.id), session.get_one(Job, job.id)
            queued = outbox.queue_run_messages(session, full_server, full_job, report, stored.run_id, now)
            queued += insight.queue_message(session, full_server, full_job, stored.run_id, now)
    if queued:
        outbox.queued.send()
    return stored.run_id


def pack_log(report: Report) -> bytes:
    """Pack the log of a report, before the transaction: a large log takes long."""
    return pack_log_quickly(report.messages, report.warnings, report.errors)


def store_run(
    session: Session, report: Report, packed: bytes, now: datetime, *, clock_ahead: timedelta | None = None
) -> StoredRun | None:
    """Store a run with its log and update its job within the caller's transaction.

    Notifies nobody. `packed` is the result of `pack_log`, `now` the time of reception, `clock_ahead` as in
    `correct_clock`. Returns and raises as `ingest_report`; the transaction remains usable after a duplicate.
    """
    connection = session.connection()
    if not report.server_id:
        report = replace(report, server_id=find_server_id(connection, report.server_name))
    server, job = _server_and_job(connection, report, now)
    known = _find_known(connection, job.id, report, now)
    report = _with_likely_next_run(connection, job, correct_clock(report, now, clock_ahead))
    report = with_versions(connection, server, job.id, report)
    values = dict(zip(REPORTED, _reported_values(report), strict=True))
    if known is not None:
        _complete_run(session, server, job, known, report, values, packed)
        return None
    run_id = str(uuid.uuid4())
    values |= {"id": run_id, "job_id": job.id, "received_at": now}
    row_id = _insert_run(connection, values)
    connection.execute(INSERT_LOG, {"run_row_id": row_id, "packed": packed})
    report = replace(report, began_at=values["began_at"], reported_began_at=values["reported_began_at"])
    is_first = job.state_began_at is None
    job_stats.add_run(session, job, values)
    _update_clock(connection, server, report, now)
    _update_job(session, job, server, report, is_first=is_first)
    return StoredRun(run_id, server, job, report)


def _find_known(connection: Connection, job_id: int, report: Report, received_at: datetime) -> AnyRow | None:
    """Return the stored run that the report repeats in another format; None if new.

    The plain text and a job's metadata have whole seconds only, so the second is compared. A run without results begins
    at its reception, so one that came in the other format some seconds before is the same. Of a failure, the metadata
    have only the end. Raises DuplicateReport for a copy in the same format.
    """
    if is_failure(report.status) and report.main_operation == SYNC:
        known = _find_failure(connection, job_id, report, received_at)
        if known is not None:
            return known
    second = report.began_at.replace(microsecond=0)
    is_exact = report.has_results or report.format == Format.METADATA
    first = second if is_exact else second - BOTH_FORMATS_WITHIN
    for row in connection.execute(FIND_COPIES, {"job_id": job_id, "first": first, "last": second + ONE_SECOND}):
        begun_at = row.reported_began_at or row.began_at
        is_by_second = begun_at >= second and WHOLE_SECONDS & (report.format | row.format)
        if is_by_second or begun_at == report.began_at:
            if row.format & report.format:
                raise DuplicateReport
            return row
        if begun_at < second and not row.format & report.format and row.not_told == NO_FIGURES and not row.duration_s:
            return row
    return None


def _find_failure(connection: Connection, job_id: int, report: Report, received_at: datetime) -> AnyRow | None:
    """Return the stored failed synchronisation that has the report's error.

    One of the two came from the job's metadata and has the time of its end, which the other lacks: that was received
    then.
    """
    if report.format == Format.METADATA:
        last = report.began_at + ONE_SECOND
        row: AnyRow | None = connection.execute(FIND_RUN_BEFORE, {"job_id": job_id, "last": last}).first()
        if row is None or row.format == Format.METADATA or not is_failure(row.status):
            return None
        if report.began_at > max(row.ended_at, row.received_at) + FAILURE_NOTED_WITHIN:
            return None
        if row.format & Format.METADATA:
            raise DuplicateReport
        return row
    first = report.began_at.replace(microsecond=0)
    last = max(report.ended_at, received_at) + FAILURE_NOTED_WITHIN
    found: AnyRow | None = connection.execute(
        FIND_NOTED_FAILURE, {"job_id": job_id, "first": first, "last": last}
    ).first()
    return found


def _with_likely_next_run(connection: Connection, job: Any, report: Report) -> Report:
    """Return the report with its next run, corrected by an earlier clock error.

    After a clock is set right, Duplicati continues with the times that it had computed from the wrong one. Such a time
    is further away than the error, and than two usual intervals of the job.
    """
    next_at = report.next_scheduled_at
    if next_at is None or report.clock_ahead_s:
        return report
    away = next_at - report.began_at
    if away <= 2 * usual_interval(unpack_runs(job.recent_runs)):
        return report
    row = connection.execute(FIND_CORRECTED, {"server_id": report.server_id}).first()
    if row is None or away <= row.reported_began_at - row.began_at:
        return report
    return replace(report, next_scheduled_at=next_at - (row.reported_began_at - row.began_at))


def _complete_run(
    session: Session, server: Any, job: Any, known: AnyRow, report: Report, values: dict[str, Any], packed: bytes
) -> None:
    """Record that a stored run was also received in another format.

    Fill its gaps from it.
    """
    connection = session.connection()
    changes: dict[str, Any] = {"format": known.format | report.format}
    # The plain text has fewer figures, and collected reports have a part of the log.
    tells_more = RICHNESS[report.format] > max(rank for format, rank in RICHNESS.items() if format & known.format)
    if tells_more:
        changes = values | changes
        if known.reported_began_at is not None:
            changes |= {"began_at": known.began_at, "ended_at": known.ended_at}
        connection.execute(LOGS.update().where(LOGS.c.run_row_id == known.row_id).values(packed=packed))
    connection.execute(RUNS.update().where(RUNS.c.row_id == known.row_id).values(**changes))
    if tells_more:
        job_stats.apply_change(session, job, known, changes)
        _update_job(session, job, server, replace(report, began_at=changes["began_at"]))


def _update_job(session: Session, job: Any, server: Any, report: Report, *, is_first: bool = False) -> None:
    next_run.follow_report(job, server, report, is_first=is_first)
    _clear_collected(job, report)
    session.connection().execute(
        UPDATE_JOB, {"row_id": job.id} | {name: getattr(job, name) for name in CHANGED_COLUMNS}
    )
    session.expire_all()  # objects loaded before are stale


def _clear_collected(job: Any, report: Report) -> None:
    """Clear the job's running state, and an error from before this run's end."""
    ended_at = report.sent_began_at + (report.ended_at - report.began_at)
    if job.running_since_at is not None and ended_at >= job.running_since_at:
        job.running_since_at = None
    if job.collected_error_at is not None and ended_at + BOTH_FORMATS_WITHIN >= job.collected_error_at:
        job.collected_error = job.collected_error_at = None


def _insert_run(connection: Connection, values: dict[str, Any]) -> int:
    """Insert a run; return its row number.

    A start time that was computed for a wrong clock may equal that of another run: then this one is stored a
    millisecond earlier. The start time that was sent is stored beside it.
    """
    while True:
        row_id: int | None = connection.scalar(_insert_new(connection.dialect.name), values)
        if row_id is not None:
            return row_id
        values["reported_began_at"] = values["reported_began_at"] or values["began_at"]
        values["began_at"] -= MILLISECOND


def _update_clock(connection: Connection, server: Any, report: Report, now: datetime) -> None:
    """Store the server's clock error and the UTC offset that its reports show."""
    changes: dict[str, Any] = {}
    if report.clock_ahead_s:
        if abs((server.clock_ahead_s or 0) - report.clock_ahead_s) > CLOCK_STEP_S:
            record_clock_ahead(server, report.clock_ahead_s, now)
        changes["clock_ahead_s"] = report.clock_ahead_s
    elif server.clock_ahead_s is not None and abs(now - report.ended_at) < CLOCK_TOLERANCE:
        changes["clock_ahead_s"] = None
    if report.utc_offset_min is not None and not report.clock_ahead_s:
        periods = add_offset(server.seen_offsets, report.began_at, report.utc_offset_min)
        if periods is not None:
            changes["seen_offsets"] = periods
    if report.is_next_run_ignored:
        log.warning("the next run that %r announces for %r is too far ahead, ignored", server.name, report.job_name)
    if changes:
        connection.execute(SERVERS.update().where(SERVERS.c.id == server.id).values(**changes))
        vars(server).update(changes)


def record_clock_ahead(server: Any, clock_ahead_s: int, now: datetime) -> None:
    """Record in the audit log by how much a server's clock is ahead."""
    details = {"serverName": server.name, "clockAheadSeconds": clock_ahead_s}
    target = {"target_type": "server", "target_id": server.id}
    record_entry("server_clock_ahead", "server", now=now, status="error", details=details, **target)


def _server_and_job(connection: Connection, report: Report, now: datetime) -> tuple[Any, Any]:
    """Return both rows as plain objects; create them on the first report.

    The objects have the attributes of the models. Mapped objects took a quarter of the time of an upload.
    """
    names = {"server_id": report.server_id, "job_name": report.job_name}
    server, job = connection.execute(FIND_SERVER, names).first(), connection.execute(FIND_JOB, names).first()
    if server is None and has_provisional(connection, report.server_name):
        raise _NeedsId
    if server is None or job is None:
        # Two first reports may arrive at once: the second finds the rows of the first.
        insert = insert_for(connection.dialect.name)
        new_server = {"id": report.server_id, "name": report.server_name, "created_at": now}
        connection.execute(insert(SERVERS).values(new_server).on_conflict_do_nothing())
        new_job = {"server_id": report.server_id, "name": report.job_name, "created_at": now}
        # Restores have no schedule.
        new_job |= {"operation": report.main_operation, "is_overdue_check_enabled": report.is_scheduled}
        connection.execute(insert(JOBS).values(new_job).on_conflict_do_nothing())
        server, job = connection.execute(FIND_SERVER, names).one(), connection.execute(FIND_JOB, names).one()
    return SimpleNamespace(**server._mapping), SimpleNamespace(**job._mapping)


@cache
def _insert_new(dialect: str) -> Any:
    """Build the INSERT of a run that does nothing if its start exists.

    It returns the row number.
    """
    return insert_for(dialect)(RUNS).on_conflict_do_nothing().returning(RUNS.c.row_id)


def _audit_values(report: Report, run_id: str, now: datetime, actor: Actor) -> dict[str, Any]:
    return {
        "at": now,
        "username": actor.username,
        "action": "backup_upload",
        "category": "backup",
        "status": "success",
        "target_type": "backup",
        "target_id": run_id,
        "ip_address": actor.ip_address,
        "user_agent": actor.user_agent,
        "details": {
            "server_id": report.server_id,
            "server_name": report.server_name,
            "backup_name": report.job_name,
            "backup_id": report.duplicati_id,
            "status": report.status,
            "date": iso(report.sent_began_at),
            "duration_seconds": report.duration_s,
            "size": report.examined_bytes,
            "uploaded_size": report.uploaded_bytes,
            "examined_files": report.examined_files,
            "warnings": report.warning_count,
            "errors": report.error_count,
            **({"outcome": report.outcome} if report.outcome else {}),
            **({"clock_ahead_seconds": report.clock_ahead_s} if report.clock_ahead_s else {}),
            **({"next_scheduled_run": "ignored"} if report.is_next_run_ignored else {}),
        },
    }


# Uploads: what arrives, and the limits of it

MIB = 1024 * 1024


@dataclass
class KnownLimit:
    """The maximum size of a report when it was last read; None before."""

    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """Result of an accepted upload: the stored run's id, or why nothing was stored."""

    run_id: str | None = None
    reason: str = ""


def receive_report(
    body: bytes, *, content_type: str = "", content_encoding: str = "", now: datetime, actor: Actor
) -> Received:
    """Decode, parse and store one upload.

    What Duplicati sends by design is accepted: any status from 400 on makes it try three times more and adds warnings
    to the user's job. Raises InvalidReport or another Refused for unusable content, after storing its text as
    rejected, and DuplicateReport.
    """
    try:
        found = _read(unpack(body, content_encoding, max_upload_bytes()), content_type, received_at=now)
    except Refused as error:
        # Compressed content cannot be searched for destination URLs, which may hold a password.
        kept = b"" if is_packed(body, content_encoding) else body
        found = Unusable(error, compress_body(kept, content_type))
    if isinstance(found, Unusable):
        keep_rejected(found.kept, found.error, sent=body, ip_address=actor.ip_address, now=now)
        raise found.error
    return _store(found, now=now, actor=actor)


def _store(report: Report | NotStored, *, now: datetime, actor: Actor, received_at: datetime | None = None) -> Received:
    if isinstance(report, NotStored):
        return Received(reason=report.reason)
    run_id = ingest_report(report, now=now, actor=actor, received_at=received_at)
    if run_id is None:
        return Received(reason="This run is stored already; it was sent in another format before")
    return Received(run_id)


def replay_rejected(report_id: int, *, actor: Actor, now: datetime) -> Received:
    """Retry a rejected upload with the current rules.

    Raises Refused (404), DuplicateReport, and Refused for what is still unusable.
    """
    rejected = find_rejected(report_id)
    body, limit = body_of(rejected), max_upload_bytes()
    if not body:
        raise Refused("rejected_report_not_stored")
    found = _read(unpack(body, "", limit), rejected.content_type, received_at=rejected.received_at)
    if isinstance(found, Unusable):
        raise found.error
    with writing():
        received = _store(found, now=now, actor=actor, received_at=rejected.received_at)
        rejected.replayed_at = now
        audit_rejected("rejected_report_replayed", rejected, actor=actor, now=now)
    return received


def keeps_other_operations() -> bool:
    """Return whether reports of operations other than backups are stored."""
    return bool(settings_store.get("keeps_other_operations"))


def max_upload_bytes() -> int:
    """Return the maximum size of an upload, compressed or not.

    Default from the environment.
    """
    chosen: int | None = settings_store.get("upload_max_mib")
    found = runtime.settings().max_upload_bytes if chosen is None else chosen * MIB
    runtime.part(KnownLimit).most_bytes = found
    return found


def most_body_bytes() -> int:
    """Return the maximum size of a request body with an upload.

    Does not query the database.

    One byte more than an upload: Werkzeug cuts chunked bodies at the limit, so that a longer one can only be detected
    by that byte.
    """
    known = runtime.part(KnownLimit).most_bytes
    return (runtime.settings().max_upload_bytes if known is None else known) + 1


def _read(content: bytes, content_type: str, *, received_at: datetime) -> Read:
    zone = runtime.settings().zone
    posted = Posted(content, content_type, received_at, zone, keeps_other_operations())
    is_large = len(content) > reader_process.LARGE_BYTES
    return reader_process.read_in_process(posted) if is_large else read_posted(posted)
