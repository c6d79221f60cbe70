"""Deferred work of migrations and imports, and the dense packing of logs.

Statistics and schedules of jobs are recomputed when the application starts, so that overdue jobs are detected. Lists of
versions are read again from the stored logs in the background, job by job, since that takes long.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from app import runtime
from app.backups import job_stats, merging
from app.backups.models import Job, Run, RunLog, Server
from app.backups.run_logs import NOT_UNPACKED, is_packed_quickly, pack_log, read_log, unpack_log
from app.core.db.orm import AnyRow, db, writing
from app.core.instants import to_milliseconds
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare, whole
from app.reports import ingest
from app.reports.decoding import SYNC
from app.reports.ingest import Clocks, known_run, missing_figures, record_clock_ahead
from app.reports.outcomes import UNSAVED, Outcome, find_broken_off, find_outcome, find_version_time, is_failure
from app.reports.parser import Figure
from app.reports.versions import KnownRun, add_offset, find_version_log, machine_offset, read_versions, seen_offsets
from app.schedules import next_run

VERSION_LISTS = declare(Setting("version_lists_total", int, default=None, shape=whole(0)))
# The newest row whose log is packed densely.
LOGS_REPACKED = declare(Setting("logs_repacked_to", int, default=0, shape=whole(0)))


log = logging.getLogger(__name__)

# Setting with the number of runs to read at the start.
TOTAL = "version_lists_total"
RUNS_AT_ONCE = 100
# Time limit of one execution of the task; the next one continues.
LONGEST_S = 240.0
# Runs of synchronisations had a job name of their own before they became runs of their job.
SEPARATE_SYNC = " (Sync)"


@dataclass(frozen=True, slots=True)
class Progress:
    """How many runs were read again of how many; `job_count` jobs are left."""

    done_runs: int
    total_runs: int
    job_count: int

    @property
    def percent(self) -> int:
        """The finished share, in whole percent."""
        return self.done_runs * 100 // self.total_runs if self.total_runs else 100


def finish_migration(now: datetime) -> int:
    """Recompute statistics and schedules that a migration deferred.

    Return the number of jobs.
    """
    job_ids = list(db.session.scalars(select(Job.id).where(Job.needs_figures).order_by(Job.id)))
    db.session.commit()
    for job_id in job_ids:
        with writing() as session:
            job = session.get(Job, job_id, populate_existing=True)
            if job is not None:
                # The schedule is that of the newest run so far.
                clock_ahead = _clock_ahead(session, job)
                job = _join_separate_sync(session, job)
                next_run.correct_wrong_clock(job, clock_ahead)
                _recompute(session, job)
                job.needs_figures = False
                if clock_ahead is not None:
                    _note_clock(session, job.server_id, clock_ahead, now)
    if job_ids:
        log.info("recalculated the metrics of %d jobs", len(job_ids))
    return len(job_ids)


def progress() -> Progress | None:
    """Return the progress of reading the lists of versions; None if finished."""
    left = func.coalesce(func.sum(Job.run_count), 0)
    job_count, run_count = db.session.execute(select(func.count(), left).where(Job.needs_versions)).one()
    if not job_count:
        return None
    total = max(settings_store.get(TOTAL) or 0, int(run_count))
    return Progress(total - int(run_count), total, job_count)


def reread_versions(now: datetime, longest_s: float = LONGEST_S) -> int:
    """Read the versions of the remaining jobs again, within a time limit.

    Returns the number of finished jobs.
    """
    begun, count = monotonic(), 0
    state = progress()
    if state is None:
        return 0
    with writing():
        settings_store.save(TOTAL, state.total_runs, now=now)
    for job_id in db.session.scalars(select(Job.id).where(Job.needs_versions).order_by(Job.id)).all():
        if monotonic() - begun > longest_s:
            break
        _reread_versions_of(job_id)
        count += 1
        if (state := progress()) is not None:
            log.info("version lists: read %d of %d runs again", state.done_runs, state.total_runs)
    if progress() is None:
        log.info("version lists: all read again")
        with writing():
            settings_store.save(TOTAL, None, now=now)
    return count


def _join_separate_sync(session: Session, job: Job) -> Job:
    """Merge a synchronisation job of its own name into the job of the plain name."""
    name = job.name.removesuffix(SEPARATE_SYNC)
    if job.operation != SYNC or name == job.name:
        return job
    wanted = select(Job).where(Job.server_id == job.server_id, Job.name == name).with_for_update()
    own = session.scalars(wanted).one_or_none()
    if own is None:
        job.name, job.is_overdue_check_enabled = name, True
        return job
    merging.join_jobs(session, job, own)
    return own


def _recompute(session: Session, job: Job) -> None:
    """Recompute statistics and schedule.

    Announcements of runs that no longer count are deleted.
    """
    before = job.state_run_id
    job_stats.recompute(session, job)
    if job.state_run_id != before:
        job.announced_next_at = None
    next_run.relearn(job, job.server)
    next_run.recalculate_next_run(job)


def _clock_ahead(session: Session, job: Job) -> timedelta | None:
    """Return the clock error at the run that announced a job's schedule.

    None if right.
    """
    moved = select(Run.reported_began_at, Run.began_at).where(
        Run.id == job.last_run_id, Run.reported_began_at.is_not(None)
    )
    row = session.execute(moved).first()
    return row.reported_began_at - row.began_at if row else None


def _note_clock(session: Session, server_id: str, clock_ahead: timedelta, now: datetime) -> None:
    """Store a server's clock error if its newest report has it."""
    newest = (
        select(Run.reported_began_at)
        .join(Job, Job.id == Run.job_id)
        .where(Job.server_id == server_id)
        .order_by(Run.received_at.desc(), Run.row_id.desc())
    )
    server = session.get(Server, server_id)
    if server is None or session.scalar(newest.limit(1)) is None:
        return
    server.clock_ahead_s = int(clock_ahead.total_seconds())
    record_clock_ahead(server, server.clock_ahead_s, now)


def _reread_versions_of(job_id: int) -> None:
    job = db.session.get(Job, job_id, populate_existing=True)
    if job is None:
        return
    server = db.session.get(Server, job.server_id, populate_existing=True)
    periods: Sequence[Sequence[int]] = server.seen_offsets if server else []
    known: list[KnownRun] = []
    clocks = ingest.clock_corrected_runs(db.session.connection(), job_id)
    for rows in _runs_with_logs(job_id):
        changes = []
        for row in rows:
            periods, changed = _read_run(row, known, periods, clocks)
            known.append(_known(row))
            changes += [(row.row_id, changed)] if changed else []
        if changes:
            with writing() as session:
                for row_id, values in changes:
                    session.execute(update(Run).where(Run.row_id == row_id).values(**values))
    with writing() as session:
        job = session.get(Job, job_id, populate_existing=True)
        if job is None:
            return  # deleted meanwhile
        _recompute(session, job)
        job.needs_versions = False
        server = session.get(Server, job.server_id, populate_existing=True)
        if server is not None:
            server.seen_offsets = [list(period) for period in periods]


def _known(row: AnyRow) -> KnownRun:
    reported_ms = None if row.reported_began_at is None else to_milliseconds(row.reported_began_at)
    return known_run(to_milliseconds(row.began_at), to_milliseconds(row.ended_at), reported_ms)


def _version_time(
    row: AnyRow, outcome: Outcome, messages: Sequence[str], began_at: datetime, ended_at: datetime
) -> datetime | None:
    """Return the time of the version that a run saved, from its log; None if unknown."""
    if outcome in UNSAVED or row.main_operation == SYNC:
        return None
    found = find_version_time(None, messages, began_at, ended_at, is_good=not is_failure(row.parsed_result))
    moved_at: datetime = row.began_at.replace(microsecond=0)
    return found if found is None or row.reported_began_at is None else moved_at


def _runs_with_logs(job_id: int) -> Iterator[Sequence[AnyRow]]:
    """Yield the runs of a job with their packed logs in batches, oldest first."""
    after: datetime | None = None
    while True:
        wanted = (
            select(*Run.__table__.columns, RunLog.packed)
            .outerjoin(RunLog, RunLog.run_row_id == Run.row_id)
            .where(Run.job_id == job_id)
            .order_by(Run.began_at)
            .limit(RUNS_AT_ONCE)
        )
        rows = db.session.execute(wanted if after is None else wanted.where(Run.began_at > after)).all()
        db.session.commit()  # ends the snapshot before writing
        if not rows:
            return
        yield rows
        after = rows[-1].began_at


def _read_run(
    row: AnyRow, known: Sequence[KnownRun], periods: Sequence[Sequence[int]], clocks: Sequence[Clocks]
) -> tuple[Sequence[Sequence[int]], dict[str, Any]]:
    """Return the known UTC offsets with this run's, and the run's changed columns."""
    messages = read_log(row.packed).messages
    if not messages:
        return periods, {}
    began_at = row.reported_began_at or row.began_at
    ended_at = began_at + (row.ended_at - row.began_at)
    offset = machine_offset(messages, began_at, ended_at)
    if offset is not None and row.reported_began_at is None:
        periods = add_offset(periods, began_at, offset) or periods
    values: dict[str, Any] = {"broken_off_at": find_broken_off(messages, row.began_at)}
    if row.was_interrupted or row.is_partial or row.is_dry_run:
        outcome = find_outcome(
            is_dry_run=row.is_dry_run,
            was_interrupted=row.was_interrupted,
            is_partial=row.is_partial,
            parsed_result=row.parsed_result,
            uploaded_files=row.uploaded_bytes,
            messages=messages,
            is_cut=len(messages) < row.message_count,
        )
        values["outcome"] = outcome.value
    outcome = Outcome(values.get("outcome", row.outcome))
    version_at = _version_time(row, outcome, messages, began_at, ended_at)
    is_guess = version_at == began_at.replace(microsecond=0)
    if outcome in UNSAVED or (version_at is not None and (row.version_at is None or not is_guess)):
        values["version_at"] = version_at
    version_log = find_version_log(messages)
    if version_log.has_list:
        found = read_versions(
            version_log,
            began_at=began_at,
            ended_at=ended_at,
            known_runs=known,
            seen_offsets=seen_offsets(periods),
            zone=runtime.settings().zone,
        )
        not_told = row.not_told & ~Figure.VERSION_LIST | missing_figures(found)
        earlier = [both for both in clocks if both[1] <= row.began_at]
        versions = ingest.correct_versions(found.versions, earlier, row.ended_at)
        values |= {"available_versions": versions, "unread_versions": found.unread, "not_told": not_told}
    return periods, {name: value for name, value in values.items() if getattr(row, name) != value}


# Dense packing of logs that were packed quickly; it saves a third of their bytes.

LOGS = RunLog.__table__
LOGS_AT_ONCE = 200
NEWER = (
    select(LOGS.c.run_row_id, LOGS.c.packed)
    .where(LOGS.c.run_row_id > bindparam("after"))
    .order_by(LOGS.c.run_row_id)
    .limit(LOGS_AT_ONCE)
)
REPACK = LOGS.update().where(LOGS.c.run_row_id == bindparam("row_id")).values(packed=bindparam("dense"))


def repack_logs(now: datetime) -> int:
    """Pack the logs that arrived since the last time densely; return how many.

    Writers wait for one batch at most.
    """
    count = 0
    while rows := db.session.execute(NEWER, {"after": settings_store.get("logs_repacked_to")}).all():
        quick = [(row_id, packed) for row_id, packed in rows if is_packed_quickly(packed)]
        repacked = [(row_id, _repacked(packed)) for row_id, packed in quick]
        dense = [{"row_id": row_id, "dense": packed} for row_id, packed in repacked if packed is not None]
        with writing() as session:
            if dense:
                session.connection().execute(REPACK, dense)
            settings_store.save("logs_repacked_to", rows[-1].run_row_id, now=now)
        count += len(dense)
    return count


def _repacked(packed: bytes) -> bytes | None:
    """Pack a log densely; None if it is unreadable."""
    try:
        log = unpack_log(packed)
    except NOT_UNPACKED:
        return None
    return pack_log(log.messages, log.warnings, log.errors, log.versions)
