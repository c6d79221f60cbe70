"""Puts into the database what was fetched: the record of the server, runs, and the schedules of jobs."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.contracts.errors import Forbidden
from app.domain.collected import CollectedJob, JobSchedule, Machine
from app.domain.reports import CLOCK_TOLERANCE, Format, Report
from app.extensions import db
from app.models import Job, Run, Server
from app.services import planning, secrets
from app.services.audit import Actor, record_entry
from app.services.collect.targets import Target, stored_address
from app.services.identities import give_id, has_provisional
from app.services.ingest import DuplicateReport, store_run
from app.services.transaction import writing

# Uploads wait while these are stored: a few hundredths of a second.
RUNS_AT_ONCE = 25
ERROR_LENGTH = 1000


def record_of(target: Target, machine: Machine) -> str:
    """The id of the record that a machine belongs to: the one that was asked for, else its machine id.

    What a far machine calls itself plays no part, since anybody can call a machine like another one.
    """
    return target.server_id or machine.id


def check_visible(server_id: str, visible_server_ids: frozenset[str] | None) -> None:
    """Raise Forbidden for a record that a limited account may not see, or that does not exist yet."""
    if visible_server_ids is not None and server_id not in visible_server_ids:
        raise Forbidden("This account is limited to certain servers, and this machine is none of them")


def remember_server(target: Target, machine: Machine, *, may_change: bool, actor: Actor, now: datetime) -> Server:
    """Store the record of a server that was asked: its name, and the address and password that worked.

    Alias and note stay. Without `may_change` a record that has an address keeps it, and its password.
    """
    encrypted = "" if target.is_stored else secrets.encrypt(target.endpoint.password)
    with writing() as session:
        server_id = record_of(target, machine)
        server = session.get(Server, server_id, populate_existing=True)
        if server is None and has_provisional(session.connection(), machine.name):
            give_id(session, machine.name, server_id, actor=actor, now=now)
            server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            server = Server(id=server_id, name=machine.name, url="", created_at=now)
            session.add(server)
            _reach(server, target, encrypted)
            details = {"serverName": server.name, "serverUrl": server.url}
            place = {"target_type": "server", "target_id": server.id}
            record_entry("server_added", "server", now=now, actor=actor, details=details, **place)
        else:
            server.name = machine.name
            if not target.is_stored and (may_change or not server.url.strip()):
                _reach(server, target, encrypted)
    return server


def store_reports(server_id: str, reports: Sequence[Report], now: datetime) -> int:
    """Store the runs that are not known yet, and tell nobody; returns how many there were.

    Where the clock of the machine is ahead, its newest run counts as of now, and the others as long before it as they
    began before it.
    """
    if not reports:
        return 0
    known = _known_instants(server_id, reports[0].job_name)
    new = [report for report in reports if report.began_at not in known]
    ahead = max((report.ended_at - now for report in new if report.began_at - now > CLOCK_TOLERANCE), default=None)
    stored = 0
    for start in range(0, len(new), RUNS_AT_ONCE):
        with writing() as session:
            stored += sum(_store(session, report, now, ahead) for report in new[start : start + RUNS_AT_ONCE])
    return stored


def apply_schedules(server_id: str, jobs: Iterable[CollectedJob], now: datetime) -> int:
    """Plan the jobs as their Duplicati does; those without a schedule stay as they are. Returns how many have one.

    Whom to tell about a job is not touched.
    """
    scheduled = [(job, job.schedule) for job in jobs if job.schedule is not None]
    with writing() as session:
        if session.get(Server, server_id, populate_existing=True) is None:
            return 0  # deleted meanwhile
        wanted = select(Job).where(Job.server_id == server_id).with_for_update()
        known = {job.name: job for job in session.scalars(wanted.execution_options(populate_existing=True))}
        for collected, schedule in scheduled:
            job = known.get(collected.name)
            if job is None:
                job = Job(server_id=server_id, name=collected.name, created_at=now)
                session.add(job)
                session.flush()
                known[collected.name] = job
            job.duplicati_id = job.duplicati_id or collected.duplicati_id
            _apply(job, schedule)
    return len(scheduled)


def note_outcome(server_id: str, now: datetime, error: str | None = None) -> None:
    """Keep with a server when it was asked last, or why that failed."""
    with writing() as session:
        server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            return  # deleted meanwhile
        server.collect_error = error[:ERROR_LENGTH] if error else None
        if error is None:
            server.collected_at = now


def _reach(server: Server, target: Target, encrypted_password: str) -> None:
    """Keep the address as it was written where it leads to the same place: it may have a path to the pages."""
    if stored_address(server) != target.endpoint.address:
        server.url = str(target.endpoint.address)
    server.encrypted_password = encrypted_password
    server.verifies_certificate = target.endpoint.verifies_certificate


def _known_instants(server_id: str, job_name: str) -> frozenset[datetime]:
    """The begins of the runs that were received as JSON or collected before, as they were sent."""
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
        return store_run(session, report, now, clock_ahead=clock_ahead) is not None
    except DuplicateReport:
        return False


def _apply(job: Job, schedule: JobSchedule) -> None:
    old = (job.expected_interval, job.allowed_weekdays)
    job.expected_interval, job.allowed_weekdays = schedule.interval, schedule.weekdays
    if schedule.anchor_at is not None:
        job.schedule_anchor_at, job.schedule_source = schedule.anchor_at, "duplicati"
    if old != (job.expected_interval, job.allowed_weekdays):
        job.overdue_alerted_at = None
    planning.replan(job)
