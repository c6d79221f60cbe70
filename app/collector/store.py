"""Puts into the database what was fetched: the record of the server, runs, and the schedules of jobs."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit.log import Actor, record_entry
from app.backups import job_stats
from app.backups.merging import find_server_id, give_id, has_provisional
from app.backups.models import Job, Run, Server
from app.backups.servers import seal_headers
from app.collector.answers import CollectedJob, JobSchedule, Machine
from app.collector.targets import Target, stored_address
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.database import secrets
from app.plugin.errors import Forbidden
from app.reports.fields import SYNC
from app.reports.ingest import BOTH_FORMATS_WITHIN, DuplicateReport, pack_log, store_run
from app.reports.report import CLOCK_TOLERANCE, Format, Report
from app.schedules import planning

# Uploads wait while these are stored: a few hundredths of a second.
RUNS_AT_ONCE = 25
ERROR_LENGTH = 1000
NOT_KNOWN_YET = "its server is not known yet; the schedule is saved when a run of it is stored"
# A server is asked again so soon while one of its jobs runs, and later the longer that runs.
ASK_AGAIN_AFTER = timedelta(minutes=5)
VERSIONS_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class JobNote:
    """What was found about a job besides its runs.

    `is_read` when its log was, `running_since_at` while that is locked. `versions` are the times of its versions,
    newest first, where they were asked for and told.
    """

    job: CollectedJob
    is_read: bool = False
    running_since_at: datetime | None = None
    has_asked_versions: bool = False
    versions: tuple[str, ...] | None = None


def record_of(machine: Machine, server_id: str = "") -> str:
    """The id of the record that a machine belongs to: the one that was asked for, else its machine id.

    What a far machine calls itself plays no part, since anybody can call a machine like another one; unless its
    machine id was set to nothing, and its reports go by the name as well.
    """
    if server_id or machine.id:
        return server_id or machine.id
    found = find_server_id(db.session.connection(), machine.name)
    db.session.commit()
    return found


def check_visible(server_id: str, visible_server_ids: frozenset[str] | None) -> None:
    """Raise Forbidden for a record that a limited account may not see, or that does not exist yet."""
    if visible_server_ids is not None and server_id not in visible_server_ids:
        raise Forbidden("This account can see selected servers only, and this server is not one of them")


def remember_server(target: Target, machine: Machine, *, may_change: bool, actor: Actor, now: datetime) -> Server:
    """Store the record of a server that was asked: the address and the password that worked.

    Name, alias and note stay. Without `may_change` a record that has an address keeps it, and its password.
    """
    encrypted = "" if target.is_stored else secrets.seal(target.endpoint.password)
    server_id = record_of(machine, target.server_id)
    with writing() as session:
        server = find_record(session, server_id, machine.name, actor=actor, now=now)
        if server is None:
            server = Server(id=server_id, name=machine.name, url="", created_at=now)
            session.add(server)
            _reach(server, target, encrypted)
            details = {"serverName": server.name, "serverUrl": server.url}
            place = {"target_type": "server", "target_id": server.id}
            record_entry("server_added", "server", now=now, actor=actor, details=details, **place)
        else:
            server.name = server.name or machine.name
            if not target.is_stored and (may_change or not server.url.strip()):
                _reach(server, target, encrypted)
    return server


def find_record(session: Session, server_id: str, name: str, *, actor: Actor, now: datetime) -> Server | None:
    """Return the record of a server, which may have been known by its name alone until now; None for a new one."""
    server = session.get(Server, server_id, populate_existing=True)
    if server is None and has_provisional(session.connection(), name):
        give_id(session, name, server_id, actor=actor, now=now)
        server = session.get(Server, server_id, populate_existing=True)
    return server


def store_reports(server_id: str, reports: Sequence[Report], now: datetime) -> int:
    """Store the runs that are not known yet, and tell nobody; returns how many there were.

    Where the clock of the machine is ahead, its newest run counts as of now, and the others as long before it as they
    began before it.
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


def apply_schedules(server_id: str, jobs: Iterable[CollectedJob], now: datetime, problems: list[str]) -> int:
    """Plan the jobs as their Duplicati does; those without a schedule stay as they are. Returns how many have one.

    Whom to notify about a job is not touched. Without a record of the server nothing is planned; `problems` says so.
    """
    scheduled = [(job, job.schedule) for job in jobs if job.schedule is not None]
    with writing() as session:
        if session.get(Server, server_id, populate_existing=True) is None:
            problems += [f"{job.name}: {NOT_KNOWN_YET}" for job, _schedule in scheduled]
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
    """Return the jobs of a server by name, as they stand in the database; nobody else changes them meanwhile."""
    wanted = select(Job).where(Job.server_id == server_id).with_for_update()
    return {job.name: job for job in session.scalars(wanted.execution_options(populate_existing=True))}


def needs_versions(server_id: str, job: CollectedJob, now: datetime) -> bool:
    """Return whether to ask for the versions of a job: where its newest run does not tell them, once a day at most."""
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
    """Return since when a job is known to run; None where it is not known to."""
    found = db.session.scalar(select(Job.running_since_at).where(Job.server_id == server_id, Job.name == job_name))
    db.session.commit()
    return found


def note_jobs(server_id: str, notes: Sequence[JobNote], now: datetime) -> None:
    """Keep with jobs what was found about them besides their runs.

    Jobs that are not known are created where they run or have an error, else passed over. Of two jobs of one name, one
    that runs is enough, and the newer error is kept.
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
            if job is None and (note.running_since_at is not None or _tells_error(note)):
                job = Job(server_id=server_id, name=name, operation=note.job.operation, created_at=now)
                job.duplicati_id = note.job.duplicati_id
                session.add(job)
                session.flush()
            if job is not None:
                _note(job, note, now)


def end_runs(server_id: str, job_names: Collection[str]) -> None:
    """Note that jobs are not running, since their Duplicati does not list them any more."""
    if not job_names:
        return
    with writing() as session:
        wanted = select(Job).where(Job.server_id == server_id, Job.running_since_at.is_not(None)).with_for_update()
        for job in session.scalars(wanted.execution_options(populate_existing=True)):
            if job.name in job_names:
                job.running_since_at = None


def note_outcome(
    server_id: str, now: datetime, error: str | None = None, *, running_since: Sequence[datetime] = ()
) -> None:
    """Keep with a server when it was asked last, or why that failed.

    While jobs run, it is asked again soon, if it is asked automatically at all.
    """
    with writing() as session:
        server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            return  # deleted meanwhile
        server.collect_error = error[:ERROR_LENGTH] if error else None
        if error is None:
            server.collected_at = now
        if running_since and server.next_collect_at is not None:
            wait = max(ASK_AGAIN_AFTER, (now - max(running_since)) / 4)
            server.next_collect_at = min(server.next_collect_at, now + wait)


def _reach(server: Server, target: Target, encrypted_password: str) -> None:
    """Keep the address as it was written where it leads to the same place: it may have a path to the pages."""
    stored = stored_address(server)
    if stored != target.endpoint.address:
        server.url = str(target.endpoint.address)
    if target.endpoint.headers:
        server.encrypted_headers = seal_headers(target.endpoint.headers)
    elif stored is None or stored.host != target.endpoint.address.host:
        server.encrypted_headers = ""
    server.encrypted_password = encrypted_password
    server.verifies_certificate = target.endpoint.verifies_certificate


def known_runs(server_id: str, job_name: str) -> frozenset[datetime]:
    """Return the begins, as they were sent, of the runs of a job that were received as JSON or collected before."""
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
    """What was found about the jobs of one name."""
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


def _tells_error(note: JobNote) -> bool:
    return note.job.operation != SYNC and note.job.last_error is not None


def _note(job: Job, note: JobNote, now: datetime) -> None:
    if note.running_since_at is not None or note.is_read:
        job.running_since_at = note.running_since_at
    error = note.job.last_error if _tells_error(note) else None
    if error is None or not _is_news(job, error.at):
        job.collected_error = job.collected_error_at = None
    else:
        job.collected_error, job.collected_error_at = error.message, error.at
    if note.has_asked_versions:
        job.versions_collected_at = now
    if note.versions is not None:
        job_stats.take_versions(db.session(), job, note.versions)


def _is_news(job: Job, error_at: datetime) -> bool:
    """Whether an error came after the newest run of a job, which else tells it."""
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
    planning.recalculate_next_run(job)
