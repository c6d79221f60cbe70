"""Store collected data: the record of the server, runs, schedules of jobs."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit.log import Actor, record_entry
from app.backups import job_stats
from app.backups.merging import assign_id, find_server_id, has_provisional
from app.backups.models import Job, Run, Server
from app.backups.servers import encrypt_headers
from app.collector.responses import CollectedJob, JobSchedule, Machine
from app.collector.targets import Target, stored_address
from app.core.db.orm import db, writing
from app.core.errors import Refused, dump_refusal
from app.database import secrets
from app.reports.decoding import SYNC
from app.reports.ingest import BOTH_FORMATS_WITHIN, DuplicateReport, pack_log, store_run
from app.reports.parser import CLOCK_TOLERANCE, Format, Report
from app.schedules import next_run

# Uploads wait while a batch is stored: a few hundredths of a second.
RUNS_AT_ONCE = 25
ERROR_LENGTH = 1000
# The next collection while a job runs: the longer it runs, the later.
ASK_AGAIN_AFTER = timedelta(minutes=5)
VERSIONS_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class JobNote:
    """Collected data of a job besides its runs.

    `is_read` means that its log was read, `running_since_at` is set while that is locked. `versions` are the times of
    its versions, newest first, if requested and available.
    """

    job: CollectedJob
    is_read: bool = False
    running_since_at: datetime | None = None
    has_asked_versions: bool = False
    versions: tuple[str, ...] | None = None


def record_of(machine: Machine, server_id: str = "") -> str:
    """Return the record id of a server: the requested one, else its machine id.

    The name is not used, since any server can have any name; unless the machine id is configured as empty, and its
    reports have only the name.
    """
    if server_id or machine.id:
        return server_id or machine.id
    found = find_server_id(db.session.connection(), machine.name)
    db.session.commit()
    return found


class NotVisible(Refused):
    """A limited account may not see a server."""


def check_visible(server_id: str, visible_server_ids: frozenset[str] | None) -> None:
    """Raise Refused (403) if the user may not see a record, or it does not exist yet."""
    if visible_server_ids is not None and server_id not in visible_server_ids:
        raise NotVisible("server_not_visible")


def remember_server(target: Target, machine: Machine, *, may_change: bool, actor: Actor, now: datetime) -> Server:
    """Store the record of a collected server with the URL and password that worked.

    Name, alias and note are unchanged. Without `may_change` an existing URL and its password are unchanged.
    """
    encrypted = "" if target.is_stored else secrets.encrypt_any(target.endpoint.password)
    server_id = record_of(machine, target.server_id)
    with writing() as session:
        server = find_record(session, server_id, machine.name, actor=actor, now=now)
        if server is None:
            server = Server(id=server_id, name=machine.name, url="", created_at=now)
            session.add(server)
            _set_address(server, target, encrypted)
            details = {"serverName": server.name, "serverUrl": server.url}
            subject = {"target_type": "server", "target_id": server.id}
            record_entry("server_added", "server", now=now, actor=actor, details=details, **subject)
        else:
            server.name = server.name or machine.name
            if not target.is_stored and (may_change or not server.url.strip()):
                _set_address(server, target, encrypted)
    return server


def find_record(session: Session, server_id: str, name: str, *, actor: Actor, now: datetime) -> Server | None:
    """Return the record of a server, which may have been known by name only, or None."""
    server = session.get(Server, server_id, populate_existing=True)
    if server is None and has_provisional(session.connection(), name):
        assign_id(session, name, server_id, actor=actor, now=now)
        server = session.get(Server, server_id, populate_existing=True)
    return server


def store_reports(server_id: str, reports: Sequence[Report], now: datetime) -> int:
    """Store the unknown runs without notifications; return how many.

    If the server's clock is ahead, its newest run gets the current time, and earlier ones the same distance from it.
    """
    if not reports:
        return 0
    known = known_runs(server_id, reports[0].job_name)
    new = [report for report in reports if report.began_at not in known]
    ahead = max((report.ended_at - now for report in new if report.began_at - now > CLOCK_TOLERANCE), default=None)
    stored = 0
    for start in range(0, len(new), RUNS_AT_ONCE):
        with writing() as session:
            stored += sum(_store(session, report, now, ahead) for report in new[start : start + RUNS_AT_ONCE])
    return stored


def apply_schedules(server_id: str, jobs: Iterable[CollectedJob], now: datetime, problems: list[Refused]) -> int:
    """Apply Duplicati's schedules to the jobs; return how many have one.

    Jobs without a schedule, and notification settings, are unchanged. Without a record of the server nothing is
    changed, and `problems` says so.
    """
    scheduled = [(job, job.schedule) for job in jobs if job.schedule is not None]
    with writing() as session:
        if session.get(Server, server_id, populate_existing=True) is None:
            reason = Refused("server_not_known_yet")
            problems += [Refused("problem_of_job", job=job.name, reason=reason) for job, _schedule in scheduled]
            return 0
        known = _lock_jobs(session, server_id)
        for collected, schedule in scheduled:
            job = known.get(collected.name)
            if job is None:
                job = Job(server_id=server_id, name=collected.name, operation=collected.operation, created_at=now)
                session.add(job)
                session.flush()
                known[collected.name] = job
            job.duplicati_id = job.duplicati_id or collected.duplicati_id
            _apply(job, schedule)
    return len(scheduled)


def _lock_jobs(session: Session, server_id: str) -> dict[str, Job]:
    """Lock the jobs of a server; return their current state by name."""
    wanted = select(Job).where(Job.server_id == server_id).with_for_update()
    return {job.name: job for job in session.scalars(wanted.execution_options(populate_existing=True))}


def needs_versions(server_id: str, job: CollectedJob, now: datetime) -> bool:
    """Return whether to request a job's versions: no report has them, once a day."""
    if job.operation == SYNC or not job.duplicati_id:
        return False
    stored = db.session.scalars(select(Job).where(Job.server_id == server_id, Job.name == job.name)).first()
    is_due = stored is not None and (
        stored.versions_collected_at is None or now - stored.versions_collected_at >= VERSIONS_EVERY
    )
    is_wanted = False
    if stored is not None and is_due and stored.run_count > 0:
        is_wanted = not job_stats.newest_lists_versions(db.session(), stored.id)
    db.session.commit()
    return is_wanted


def find_running_since(server_id: str, job_name: str) -> datetime | None:
    """Return since when a job is known to run, or None."""
    found = db.session.scalar(select(Job.running_since_at).where(Job.server_id == server_id, Job.name == job_name))
    db.session.commit()
    return found


def note_jobs(server_id: str, notes: Sequence[JobNote], now: datetime) -> None:
    """Store the state of jobs besides their runs.

    Unknown jobs are created if they run or have an error, else skipped. Of two jobs of one name, it is enough that one
    runs, and the newer error is stored.
    """
    named: dict[str, list[JobNote]] = {}
    for note in notes:
        named.setdefault(note.job.name, []).append(note)
    with writing() as session:
        if session.get(Server, server_id, populate_existing=True) is None:
            return  # deleted meanwhile
        known = _lock_jobs(session, server_id)
        for name, of_name in named.items():
            note = _joined(of_name)
            job = known.get(name)
            if job is None and (note.running_since_at is not None or _reports_error(note)):
                job = Job(server_id=server_id, name=name, operation=note.job.operation, created_at=now)
                job.duplicati_id = note.job.duplicati_id
                session.add(job)
                session.flush()
            if job is not None:
                _note(job, note, now)


def end_runs(server_id: str, job_names: Collection[str]) -> None:
    """Mark jobs as not running, since their Duplicati does not list them any more."""
    if not job_names:
        return
    with writing() as session:
        wanted = select(Job).where(Job.server_id == server_id, Job.running_since_at.is_not(None)).with_for_update()
        for job in session.scalars(wanted.execution_options(populate_existing=True)):
            if job.name in job_names:
                job.running_since_at = None


def note_outcome(
    server_id: str, now: datetime, error: Refused | None = None, *, running_since: Sequence[datetime] = ()
) -> None:
    """Store the time or the error of a server's last collection.

    While jobs run, the next automatic collection is early.
    """
    with writing() as session:
        server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            return  # deleted meanwhile
        set_collect_error(server, error)
        if error is None:
            server.collected_at = now
        if running_since and server.next_collect_at is not None:
            wait = max(ASK_AGAIN_AFTER, (now - max(running_since)) / 4)
            server.next_collect_at = min(server.next_collect_at, now + wait)


def set_collect_error(server: Server, error: Refused | None) -> None:
    """Store why the last collection failed; None if it did not."""
    server.collect_error = error.message[:ERROR_LENGTH] if error else None
    server.collect_error_details = dump_refusal(error) if error else None


def _set_address(server: Server, target: Target, encrypted_password: str) -> None:
    """Store URL and password; an equivalent URL is unchanged, as it may have a path."""
    stored = stored_address(server)
    if stored != target.endpoint.address:
        server.url = str(target.endpoint.address)
    if target.endpoint.headers:
        server.encrypted_headers = encrypt_headers(target.endpoint.headers)
    elif stored is None or stored.host != target.endpoint.address.host:
        server.encrypted_headers = ""
    server.encrypted_password = encrypted_password
    server.verifies_certificate = target.endpoint.verifies_certificate


def known_runs(server_id: str, job_name: str) -> frozenset[datetime]:
    """Return the start times, as sent, of a job's runs received as JSON or collected."""
    sent_at = func.coalesce(Run.reported_began_at, Run.began_at)
    wanted = (
        select(sent_at)
        .where(Run.format != Format.TEXT)
        .join(Job)
        .where(Job.server_id == server_id, Job.name == job_name)
    )
    found = frozenset(db.session.scalars(wanted))
    db.session.commit()
    return found


def _store(session: Session, report: Report, now: datetime, clock_ahead: timedelta | None) -> bool:
    try:
        return store_run(session, report, pack_log(report), now, clock_ahead=clock_ahead) is not None
    except DuplicateReport:
        return False


def _joined(notes: Sequence[JobNote]) -> JobNote:
    """Combine the notes of jobs of one name."""
    running = [note.running_since_at for note in notes if note.running_since_at is not None]
    newest = max(notes, key=lambda note: note.job.last_error.at.timestamp() if note.job.last_error else 0)
    listed = next((note for note in notes if note.versions is not None), notes[0])
    return JobNote(
        newest.job,
        is_read=any(note.is_read for note in notes),
        running_since_at=min(running, default=None),
        has_asked_versions=any(note.has_asked_versions for note in notes),
        versions=listed.versions,
    )


def _reports_error(note: JobNote) -> bool:
    return note.job.operation != SYNC and note.job.last_error is not None


def _note(job: Job, note: JobNote, now: datetime) -> None:
    if note.running_since_at is not None or note.is_read:
        job.running_since_at = note.running_since_at
    error = note.job.last_error if _reports_error(note) else None
    if error is None or not _is_news(job, error.at):
        job.collected_error = job.collected_error_at = None
    else:
        job.collected_error, job.collected_error_at = error.message, error.at
    if note.has_asked_versions:
        job.versions_collected_at = now
    if note.versions is not None:
        job_stats.set_collected_versions(db.session(), job, note.versions)


def _is_news(job: Job, error_at: datetime) -> bool:
    """Return whether an error is later than the newest run, which otherwise has it."""
    began_at = job.last_sent_began_at
    return began_at is None or error_at > began_at + timedelta(seconds=job.last_duration_s) + BOTH_FORMATS_WITHIN


def _apply(job: Job, schedule: JobSchedule) -> None:
    old = (job.expected_interval, job.allowed_weekdays)
    job.expected_interval, job.allowed_weekdays = schedule.interval, schedule.weekdays
    job.interval_source = "duplicati"
    if schedule.anchor_at is not None:
        job.schedule_anchor_at, job.schedule_source = schedule.anchor_at, "duplicati"
    if old != (job.expected_interval, job.allowed_weekdays):
        job.overdue_alerted_at = None
    next_run.recalculate_next_run(job)
