"""Collect from one Duplicati server, and start jobs on it.

Collected runs cause no notifications: they are as old as their log. Failures are recorded in the audit log.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import select

from app import runtime
from app.accounts.models import ALL_SERVERS
from app.audit.log import SYSTEM, Actor, record_entry
from app.backups.merging import PROVISIONAL
from app.backups.models import Job, Server
from app.collector.client import LIMITS, Duplicati, Limits
from app.collector.job_logs import JobFindings, JobOwners, read_file_sets, read_job
from app.collector.reachability import SILENCES_ALLOWED, SILENT, CollectFailure, Reason
from app.collector.responses import CollectedJob, Machine, UnusableResponse, document_of, read_jobs, read_machine
from app.collector.store import (
    JobNote,
    NotVisible,
    apply_schedules,
    check_visible,
    end_runs,
    find_record,
    needs_versions,
    note_jobs,
    note_outcome,
    record_of,
    remember_server,
    store_reports,
)
from app.collector.targets import Order, Target, find_target
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.reports.decoding import SYNC

MOST_REMEMBERED = 1_000


class ListedJobs(dict[tuple[str, str], frozenset[str]]):
    """The jobs that servers listed, by server and address."""


def replace_listed(server_id: str, address: str, listed: Set[str], own: Set[str]) -> frozenset[str]:
    """Store the jobs that the server at an address lists, in memory.

    Returns the jobs of the record `server_id` that the previous list had and this one lacks. `own` are the listed jobs
    that belong to that record.
    """
    remembered = runtime.part(ListedJobs)
    before = remembered.get((server_id, address), frozenset())
    if len(remembered) >= MOST_REMEMBERED:
        remembered.clear()
    remembered[server_id, address] = frozenset(own)
    return before - listed


# Collecting: jobs, schedules and logs of one server

Found = TypeVar("Found")

PROBLEMS_SHOWN = 50
# Each list of versions takes the server some time, and adds an entry to the log of the job.
VERSION_LISTS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Caller:
    """The permissions of the user who collects: visible servers, changes to records."""

    actor: Actor = SYSTEM
    visible_server_ids: frozenset[str] | None = None
    may_change: bool = True


@dataclass(frozen=True, slots=True)
class Collected:
    """Result of collecting from one server.

    `error_count` entries were unusable, and `refusals` are the errors of the first ones. `running` are jobs whose log
    is locked, with the time since when. `document` is the collected data as JSON, if requested.
    """

    server_id: str
    server_name: str
    server_alias: str
    stored: int = 0
    skipped: int = 0
    error_count: int = 0
    refusals: tuple[Refused, ...] = ()
    running: tuple[tuple[str, datetime], ...] = ()
    has_jobs: bool = True
    document: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """The errors as English sentences."""
        return tuple(refusal.message for refusal in self.refusals)


@dataclass(frozen=True, slots=True)
class Synchronised:
    """Result of collecting only the schedules of one server."""

    server_name: str
    scheduled_count: int = 0
    refusals: tuple[Refused, ...] = ()
    has_jobs: bool = True

    @property
    def problems(self) -> tuple[str, ...]:
        """The errors as English sentences."""
        return tuple(refusal.message for refusal in self.refusals)


@dataclass(slots=True)
class _Gathered:
    """Results of the jobs so far.

    `notes` by the record of their server, `logs` by Duplicati's id and name.
    """

    keeps_logs: bool = False
    stored: int = 0
    skipped: int = 0
    silences: int = 0
    version_lists: int = 0
    problems: list[Refused] = field(default_factory=list)
    running: list[tuple[str, datetime]] = field(default_factory=list)
    notes: dict[str, list[JobNote]] = field(default_factory=dict)
    logs: dict[tuple[str, str], Any] = field(default_factory=dict)


def collect(order: Order, *, caller: Caller, now: datetime, limits: Limits = LIMITS) -> Collected:
    """Collect everything from one server and store what is new.

    Raises Refused for an invalid order, and CollectFailure or UnreadableAnswer if the server gives no usable response;
    these are recorded in the audit log.
    """
    target = find_target(order, caller.visible_server_ids)
    return _recorded(
        "backup_collected", order, target, caller, now, lambda: _collect(order, target, caller, now, limits)
    )


def synchronise(order: Order, *, caller: Caller, now: datetime, limits: Limits = LIMITS) -> Synchronised:
    """Collect the schedules of one server and apply them to its jobs.

    Raise as `collect`.
    """
    target = find_target(order, caller.visible_server_ids)
    return _recorded(
        "backup_schedule_synced", order, target, caller, now, lambda: _synchronise(order, target, caller, now, limits)
    )


def _collect(order: Order, target: Target, caller: Caller, now: datetime, limits: Limits) -> Collected:
    gathered = _Gathered(order.keeps_document)
    with Duplicati(target.endpoint, limits) as duplicati:
        system_info, machine = _read_identity(duplicati, target)
        server_id = record_of(machine, target.server_id)
        check_visible(server_id, caller.visible_server_ids)
        backups = duplicati.backups()
        jobs, gathered.problems = read_jobs(backups, runtime.settings().zone)
        is_list_complete = not gathered.problems
        server = remember_server(target, machine, may_change=caller.may_change, actor=caller.actor, now=now)
        owners = JobOwners(duplicati, machine, server_id, caller.visible_server_ids)
        for job in jobs:
            _collect_job(duplicati, job, owners, gathered, caller, now)
    for owner_id, notes in gathered.notes.items():
        apply_schedules(owner_id, [note.job for note in notes], now, gathered.problems)
        note_jobs(owner_id, notes, now)
    if is_list_complete:
        own = {note.job.name for note in gathered.notes.get(server_id, ())}
        end_runs(server_id, replace_listed(server_id, str(target.endpoint.address), {job.name for job in jobs}, own))
    note_outcome(server_id, now, running_since=[since for _name, since in gathered.running])
    problems = gathered.problems
    collected = Collected(
        server_id,
        server.name,
        server.alias,
        stored=gathered.stored,
        skipped=gathered.skipped,
        error_count=len(problems),
        refusals=tuple(problems[:PROBLEMS_SHOWN]),
        running=tuple(gathered.running),
        has_jobs=bool(jobs or problems),
        document=_to_json(document_of(system_info, backups, gathered.logs)) if order.keeps_document else None,
    )
    # Automatic collections without new runs would fill the audit log; manual ones are always recorded.
    is_worth_telling = caller.actor != SYSTEM or gathered.stored or problems
    if collected.has_jobs and is_worth_telling:
        details = {
            "serverName": collected.server_name,
            "serverAlias": collected.server_alias,
            "processed": collected.stored,
            "skipped": collected.skipped,
            "errors": collected.error_count,
        }
        _record("backup_collected", order.server_id or server_id, details, problems, caller.actor, now)
    return collected


def _synchronise(order: Order, target: Target, caller: Caller, now: datetime, limits: Limits) -> Synchronised:
    with Duplicati(target.endpoint, limits) as duplicati:
        _system_info, machine = _read_identity(duplicati, target)
        server_id = record_of(machine, target.server_id)
        check_visible(server_id, caller.visible_server_ids)
        jobs, problems = read_jobs(duplicati.backups(), runtime.settings().zone)
        server = db.session.get(Server, server_id)
        owners = JobOwners(duplicati, machine, server_id, caller.visible_server_ids)
        by_owner = _by_owner(owners, jobs, problems) if server else {}
    if not jobs and not problems:
        return Synchronised(machine.name, has_jobs=False)
    scheduled_count = sum(apply_schedules(owner_id, group, now, problems) for owner_id, group in by_owner.items())
    if server is None:
        problems += [_problem_of(job, Refused("logs_not_collected_yet")) for job in jobs]
    details = {"serverName": machine.name, "processed": scheduled_count, "errors": len(problems)}
    _record("backup_schedule_synced", order.server_id or server_id, details, problems, caller.actor, now)
    return Synchronised(machine.name, scheduled_count, tuple(problems[:PROBLEMS_SHOWN]))


def _read_identity(duplicati: Duplicati, target: Target) -> tuple[Any, Machine]:
    """Return a server's system information and its identity."""
    system_info = duplicati.system_info()
    needs_id = not target.server_id.startswith(PROVISIONAL)
    return system_info, read_machine(system_info, duplicati.settings(), needs_id=needs_id)


def _by_owner(
    owners: JobOwners, jobs: Sequence[CollectedJob], problems: list[Refused]
) -> dict[str, list[CollectedJob]]:
    """Return the jobs by the record of their server.

    Jobs without a record, or of records that are not visible, are added to `problems`.
    """
    found: dict[str, list[CollectedJob]] = {}
    for job in jobs:
        try:
            found.setdefault(owners.find_or_ask(job).server_id, []).append(job)
        except (NotVisible, CollectFailure, UnusableResponse) as refusal:
            problems.append(_problem_of(job, refusal))
    return found


def _collect_job(
    duplicati: Duplicati, job: CollectedJob, owners: JobOwners, gathered: _Gathered, caller: Caller, now: datetime
) -> None:
    """Store the new runs of one job and its state. An error affects no other job."""
    try:
        try:
            findings = _ask_job(duplicati, job, owners, gathered, now)
            owner, note = findings.owner, _store_job(findings, job, gathered, caller, now)
        except (CollectFailure, UnusableResponse) as error:
            gathered.problems.append(_problem_of(job, error))
            owner, note = owners.find(job), JobNote(job)
    except NotVisible as refusal:
        gathered.problems.append(_problem_of(job, refusal))
        return
    if owner is None:
        return
    owner_id = owner.server_id
    if note.is_read and gathered.version_lists < VERSION_LISTS_AT_ONCE:
        note = _with_versions(duplicati, owner_id, note, gathered, now)
    gathered.notes.setdefault(owner_id, []).append(note)


def _ask_job(
    duplicati: Duplicati, job: CollectedJob, owners: JobOwners, gathered: _Gathered, now: datetime
) -> JobFindings:
    if gathered.silences >= SILENCES_ALLOWED and job.operation != SYNC:
        raise CollectFailure(Reason.TIMEOUT, Refused("job_skipped"))
    try:
        findings = read_job(duplicati, job, owners, now)
    except CollectFailure as failure:
        gathered.silences = gathered.silences + 1 if failure.reason in SILENT else 0
        raise
    gathered.silences = gathered.silences + 1 if findings.failure and findings.failure.reason in SILENT else 0
    return findings


def _store_job(findings: JobFindings, job: CollectedJob, gathered: _Gathered, caller: Caller, now: datetime) -> JobNote:
    owner = findings.owner
    if owner is not None and findings.reports:
        with writing() as session:
            find_record(session, owner.server_id, owner.name, actor=caller.actor, now=now)
    new = [report for report in findings.reports if report.began_at not in findings.known]
    stored = store_reports(owner.server_id, sorted(new, key=lambda report: report.began_at), now) if owner else 0
    gathered.stored += stored
    gathered.skipped += len(findings.reports) - stored
    gathered.problems += [_problem_of(job, problem) for problem in findings.problems]
    if findings.failure is not None:
        gathered.problems.append(_problem_of(job, findings.failure))
    if findings.running_since_at is not None:
        gathered.running.append((job.name, findings.running_since_at))
    if gathered.keeps_logs:
        gathered.logs[job.duplicati_id, job.name] = findings.entries
    return JobNote(job, is_read=findings.running_since_at is None, running_since_at=findings.running_since_at)


def _with_versions(duplicati: Duplicati, owner_id: str, note: JobNote, gathered: _Gathered, now: datetime) -> JobNote:
    """Return the note with the job's versions if no report has them.

    After a failure no more versions are requested in this collection.
    """
    if gathered.silences or not needs_versions(owner_id, note.job, now):
        return note
    versions = read_file_sets(duplicati, note.job)
    gathered.version_lists += 1 if versions is not None else VERSION_LISTS_AT_ONCE
    return replace(note, has_asked_versions=True, versions=versions)


def _problem_of(job: CollectedJob, reason: Refused) -> Refused:
    return Refused("problem_of_job", job=job.name, reason=reason)


def _to_json(document: Mapping[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()


def _recorded(
    action: str, order: Order, target: Target, caller: Caller, now: datetime, work: Callable[[], Found]
) -> Found:
    """Call `work`; record a failure in the audit log and in the server's record."""
    try:
        return work()
    except Refused as error:
        with writing():
            server = db.session.get(Server, target.server_id) if target.server_id else None
            details = {"serverName": server.name if server else "unknown", "error": error.message}
            if server is not None and action == "backup_collected":
                note_outcome(server.id, now, error)
            _record(action, order.server_id or "unknown", details, [error], caller.actor, now)
        raise


def _record(
    action: str, target_id: str, details: Mapping[str, Any], problems: Sequence[Refused], actor: Actor, now: datetime
) -> None:
    record_entry(
        action,
        "backup",
        now=now,
        actor=actor,
        status="error" if problems else "success",
        target_type="backup",
        target_id=target_id,
        details=details,
        error_message="\n".join(problem.message for problem in problems[:PROBLEMS_SHOWN]) or None,
    )


# Starting a job, with the stored URL and password of its server

# Prefix of a job's number in reports.
REPORTED_PREFIX = "DB-"


@dataclass(frozen=True, slots=True)
class Started:
    """A job that has started or is queued in its Duplicati."""

    server_name: str
    job_name: str
    task_id: int | None


def start_job(server_id: str, job_name: str, *, actor: Actor, now: datetime, limits: Limits = LIMITS) -> Started:
    """Start a job. Raise Refused (404), CollectFailure, Refused if not collectable.

    Waits only for the start; the result is in the report of the run.
    """
    server = db.session.get(Server, server_id)
    job = db.session.scalars(select(Job).where(Job.server_id == server_id, Job.name == job_name)).first()
    if server is None or job is None:
        raise Refused("server_not_found" if server is None else "server_without_job")
    server_name, reported_id = server.display_name, job.duplicati_id.removeprefix(REPORTED_PREFIX)
    target = find_target(Order(server_id=server_id), ALL_SERVERS)
    details: dict[str, Any] = {"serverName": server_name, "backupName": job_name}
    subject = {"target_type": "backup", "target_id": f"{server_id}:{job_name}"}
    try:
        with Duplicati(target.endpoint, limits) as duplicati:
            jobs, _problems = read_jobs(duplicati.backups(), runtime.settings().zone)
            answer = duplicati.start(_find(jobs, job_name, reported_id).duplicati_id)
    except Refused as error:
        failure = details | {"error": error.message}
        record_entry("backup_started", "backup", now=now, actor=actor, status="error", details=failure, **subject)
        raise
    task_id = answer.get("ID") if isinstance(answer, dict) else None
    task_id = task_id if isinstance(task_id, int) else None
    record_entry("backup_started", "backup", now=now, actor=actor, details=details | {"taskId": task_id}, **subject)
    return Started(server_name, job_name, task_id)


def _find(jobs: list[CollectedJob], name: str, reported_id: str) -> CollectedJob:
    """Return the job of a name; of several, the one with the reported number."""
    named = [job for job in jobs if job.name == name and job.duplicati_id]
    if not named:
        raise CollectFailure(Reason.NO_JOB, Refused("job_unknown_to_duplicati"))
    return next((job for job in named if job.duplicati_id == reported_id), named[0])
