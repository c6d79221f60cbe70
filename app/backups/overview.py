"""The state of servers and jobs, and single runs with their logs."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import select

from app.backups import duplicati_versions
from app.backups.duplicati_versions import DuplicatiVersion, InstalledDuplicati, installed
from app.backups.heartbeats import HeartbeatInput
from app.backups.models import Job, Run, RunLog, Server
from app.backups.run_logs import RunLogTexts, read_log
from app.core.db.orm import AnyRow, AnySelect, cache, db, second_of, unpack_times
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.insight.anomalies import Anomaly
from app.insight.forecasts import free_bytes, full_at
from app.notifications.outbox import is_muted
from app.reports.decoding import BACKUP, SCHEDULED
from app.reports.outcomes import NONE, UNSAVED, roll_up
from app.reports.parser import Figure
from app.schedules import next_run
from app.schedules.intervals import Schedule
from app.schedules.overdue import is_overdue

RUNS_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Mute:
    """A current mute: until when, why, and whether it applies to the whole server."""

    until_at: datetime
    note: str
    is_of_server: bool


@dataclass(frozen=True, slots=True)
class NewestRun:
    """The newest run of a job, which may have saved nothing.

    `began_at` is the start as sent. `broken_off_at` is the start of the previous run, if the log says that it was
    interrupted.
    """

    run_id: str | None
    began_at: datetime | None
    status: str
    outcome: str
    duration_s: float
    warning_count: int
    error_count: int
    broken_off_at: datetime | None

    @property
    def counts(self) -> bool:
        """Whether it decides the state of the job."""
        return self.outcome not in UNSAVED


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The state of one job.

    Sizes in bytes, times in UTC, `recent_statuses` oldest first.

    `last_…` and the counts of warnings and errors are those of the newest run that decides the state of the job:
    neither a dry run nor one that saved nothing. `newest` is the newest run of any outcome. Files, storage and versions
    are the last known, and 0 if no run has them (`not_told`, bits of `Figure`); `versions` are all known restorable
    versions.
    """

    job_id: int
    server_id: str
    server_name: str
    server_alias: str
    name: str
    run_count: int
    total_uploaded_bytes: int
    recent_statuses: str
    last_run_id: str | None
    last_began_at: datetime | None
    last_status: str
    last_duration_s: float
    examined_files: int
    examined_bytes: int
    uploaded_bytes: int
    storage_bytes: int
    version_count: int
    warning_count: int
    error_count: int
    available_versions: tuple[str, ...]
    duplicati_version: str | None
    notification_event: str
    is_overdue_check_enabled: bool
    expected_interval: str
    allowed_weekdays: int
    next_expected_at: datetime | None
    deadline_at: datetime | None
    is_overdue: bool
    overdue_alerted_at: datetime | None
    newest: NewestRun
    last_outcome: str = ""
    packed_versions: bytes = b""
    unread_versions: int = 0
    not_told: int = 0
    has_mixed_ids: bool = False
    operation: str = BACKUP
    recent_runs: bytes = b""
    announced_next_at: datetime | None = None
    schedule_anchor_at: datetime | None = None
    # Excluded from the hash as it is not hashable; it changes only with the next run or its source.
    learned_schedule: Mapping[str, Any] | None = field(default=None, hash=False)
    interval_source: str = "default"
    schedule_source: str = "guess"
    overdue_tolerance: str | None = None
    tags: tuple[str, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    growth_bytes: float | None = None
    quota_bytes: int | None = None
    reported_quota_bytes: int | None = None
    reported_free_bytes: int | None = None
    mute: Mute | None = None
    # From collecting: the start of a running operation, and the newest error of its Duplicati.
    running_since_at: datetime | None = None
    collected_error: str | None = None
    collected_error_at: datetime | None = None

    @property
    def newer_error(self) -> str | None:
        """The newest error that Duplicati recorded; None if the newest run is later."""
        if self.collected_error_at is None or self.newest.began_at is None:
            return self.collected_error
        return self.collected_error if self.collected_error_at > self.newest.began_at else None

    @property
    def is_backup(self) -> bool:
        """Whether it is a backup or synchronisation, not a restore, test etc."""
        return self.operation in SCHEDULED

    @property
    def versions(self) -> tuple[str, ...]:
        """The known restorable versions, newest first."""
        return unpack_times(self.packed_versions)

    def has_figure(self, figure: str) -> bool:
        """Return whether any run had a figure, by its lower-case name in `Figure`."""
        return not self.not_told & Figure[figure.upper()]

    @property
    def server_display_name(self) -> str:
        """The alias of the server, else its name."""
        return self.server_alias or self.server_name

    @property
    def shown_outcome(self) -> str:
        """The outcome to show: the newest run's if it saved nothing, else the last one's."""
        return self.last_outcome if self.newest.counts else self.newest.outcome

    @property
    def is_flagged(self) -> bool:
        """Whether it has an issue besides its status."""
        return bool(self.is_overdue or self.mute or self.anomalies or self.shown_outcome or self.newest.broken_off_at)

    @property
    def offered_interval(self) -> str | None:
        """The suggested interval for an irregular job."""
        return next_run.offered_interval(self)

    @property
    def schedule(self) -> Schedule | None:
        """The current schedule; None without a grid."""
        return next_run.schedule_of(self)

    @property
    def is_muted(self) -> bool:
        """Whether it or its server is muted now."""
        return self.mute is not None

    @property
    def free_bytes(self) -> int | None:
        """The free space at its destination, None if unknown."""
        return free_bytes(self.storage_bytes, self.quota_bytes, self.reported_free_bytes)

    @property
    def full_at(self) -> datetime | None:
        """When its destination will be full at the current growth.

        None if unknown or years away.
        """
        return full_at(self.free_bytes, self.growth_bytes, self.last_began_at)

    def heartbeat_input(self, now: datetime) -> HeartbeatInput:
        """Return the input of its heartbeats; `now` is truncated to the minute."""
        plan = self.schedule if self.is_overdue_check_enabled else None
        if not self.is_overdue or self.next_expected_at is None or self.deadline_at is None:
            return HeartbeatInput(self.recent_runs, plan)
        due_until = now - (self.deadline_at - self.next_expected_at)
        return HeartbeatInput(self.recent_runs, plan, self.next_expected_at, due_until.replace(second=0, microsecond=0))


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server with its jobs, ordered by name; jobs without runs are excluded."""

    id: str
    name: str
    alias: str
    note: str
    url: str
    has_password: bool
    created_at: datetime
    jobs: tuple[JobStatus, ...]
    tags: tuple[str, ...] = ()
    mute: Mute | None = None
    duplicati: InstalledDuplicati | None = None
    clock_ahead_s: int | None = None

    @property
    def display_name(self) -> str:
        """The alias, else the name."""
        return self.alias or self.name

    @property
    def is_overdue(self) -> bool:
        """Whether any of its jobs is overdue."""
        return any(job.is_overdue for job in self.jobs)

    @property
    def status(self) -> str:
        """The worst status of its jobs."""
        return roll_up((job.last_status for job in self.jobs), any_overdue=self.is_overdue)

    @property
    def last_job(self) -> JobStatus | None:
        """The job with the newest run."""
        ran = [job for job in self.jobs if job.is_backup and job.newest.began_at is not None]
        return max(ran, key=lambda job: job.newest.began_at or self.created_at, default=None)

    def total(self, figure: str) -> int:
        """Return the sum of one figure of `JobStatus` over the jobs."""
        return sum(getattr(job, figure) for job in self.jobs)


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals over all servers, which count backups only.

    Sizes in bytes; storage and examined size are of each job's newest run.
    """

    server_count: int
    job_count: int
    run_count: int
    uploaded_bytes: int
    storage_bytes: int
    examined_bytes: int
    overdue_count: int
    newest_began_at: datetime | None

    def seconds_since_last_backup(self, now: datetime) -> int | None:
        """Return the seconds since the newest run began, rounded down; None without runs."""
        return None if self.newest_began_at is None else int((now - self.newest_began_at).total_seconds() // 1)


@dataclass(frozen=True, slots=True)
class Overview:
    """All servers that the user may see, ordered by name, as of `now`.

    `checked_at` is the last overdue check.
    """

    servers: tuple[ServerStatus, ...]
    summary: Summary
    checked_at: datetime | None
    now: datetime

    @property
    def jobs(self) -> tuple[JobStatus, ...]:
        """All jobs, in the order of their servers."""
        return tuple(job for server in self.servers for job in server.jobs)

    @property
    def named_jobs(self) -> list[tuple[ServerStatus, JobStatus]]:
        """Return each job with its server, ordered by both names.

        Jobs of servers that share a name are not mixed.
        """
        pairs = [(server, job) for server in self.servers for job in server.jobs]
        return sorted(pairs, key=lambda pair: (pair[0].name.encode(), pair[1].name.encode()))


@dataclass(frozen=True, slots=True)
class RunDetail:
    """One run with its log, its job and server, and its neighbours of the same job."""

    run: Run
    job_name: str
    server: Server
    log: RunLogTexts
    previous_id: str | None
    next_id: str | None


def overview(now: datetime, visible_server_ids: frozenset[str] | None) -> Overview:
    """Return all servers with their jobs; `now` is truncated to the second.

    `visible_server_ids` restricts the result; None means all.
    """
    return cache().get(
        ("overview", visible_server_ids), lambda: _build_overview(now, visible_server_ids), moment=second_of(now)
    )


def find_server(server_id: str, now: datetime, visible_server_ids: frozenset[str] | None) -> ServerStatus:
    """Return one server with its jobs. Raise Refused (404)."""
    for server in overview(now, visible_server_ids).servers:
        if server.id == server_id:
            return server
    raise Refused("server_not_found")


def jobs_without_runs(server_id: str) -> tuple[AnyRow, ...]:
    """Return the jobs without runs that are running or have an error, by name.

    Rows of name, running_since_at, collected_error and collected_error_at.
    """
    columns = (Job.name, Job.running_since_at, Job.collected_error, Job.collected_error_at)
    wanted = select(*columns).where(Job.server_id == server_id, Job.run_count == 0)
    has_news = Job.running_since_at.is_not(None) | Job.collected_error_at.is_not(None)
    return tuple(sorted(db.session.execute(wanted.where(has_news)), key=lambda row: row.name.encode()))


def list_runs(
    server_id: str, job_name: str | None = None, *, limit: int = RUNS_SHOWN, before: datetime | None = None
) -> list[AnyRow]:
    """Return runs of a server or job, newest first: rows of (Run, job name)."""
    statement = _runs_of(server_id, job_name).order_by(Run.began_at.desc(), Run.row_id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Run.began_at < before)
    return list(db.session.execute(statement))


def find_run(run_id: str, server_id: str | None = None) -> RunDetail:
    """Return one run with its log.

    Raise Refused (404), also if it belongs to another server than the one given.
    """
    try:
        uuid.UUID(run_id)
    except ValueError as error:
        raise Refused("run_not_found") from error
    statement = select(Run, Job.name, Server, RunLog.packed).where(Run.id == run_id)
    joined = statement.join(Job, Job.id == Run.job_id).join(Server, Server.id == Job.server_id)
    row = db.session.execute(joined.outerjoin(RunLog, RunLog.run_row_id == Run.row_id)).first()
    if row is None or (server_id is not None and row[2].id != server_id):
        raise Refused("run_not_found")
    run, job_name, server, packed = row
    of_job = select(Run.id).where(Run.job_id == run.job_id)
    earlier = of_job.where(Run.began_at < run.began_at).order_by(Run.began_at.desc()).limit(1)
    later = of_job.where(Run.began_at > run.began_at).order_by(Run.began_at).limit(1)
    log = read_log(packed)
    return RunDetail(run, job_name, server, log, db.session.scalar(earlier), db.session.scalar(later))


def _runs_of(server_id: str, job_name: str | None) -> AnySelect:
    statement = select(Run, Job.name.label("job_name")).join(Job, Job.id == Run.job_id)
    statement = statement.where(Job.server_id == server_id)
    return statement if job_name is None else statement.where(Job.name == job_name)


def _build_overview(now: datetime, visible: frozenset[str] | None) -> Overview:
    asked = ("last_overdue_check_at", *duplicati_versions.SETTINGS)
    checked_at, *version_check = settings_store.get_several(*asked)
    jobs: dict[str, list[AnyRow]] = {}
    for row in db.session.execute(select(*Job.__table__.columns).where(Job.run_count > 0)):
        jobs.setdefault(row.server_id, []).append(row)
    newest = duplicati_versions.newest(*version_check)
    servers = [
        _server_status(server, jobs.get(server.id, []), now, newest)
        for server in db.session.execute(select(*Server.__table__.columns))
        if visible is None or server.id in visible
    ]
    # Sorted here, since the order of texts differs between databases; servers of one name in the order of creation.
    servers.sort(key=lambda server: (server.name.encode(), server.created_at, server.id.encode()))
    return Overview(
        servers=tuple(servers),
        summary=_summarise(servers),
        checked_at=None if checked_at is None else datetime.fromisoformat(checked_at),
        now=now,
    )


def _server_status(
    server: AnyRow, jobs: list[AnyRow], now: datetime, newest: Mapping[str, DuplicatiVersion]
) -> ServerStatus:
    ordered = sorted(jobs, key=lambda job: job.name.encode())
    reporting = [job for job in jobs if job.last_duplicati_version and job.last_began_at is not None]
    latest = max(reporting, key=attrgetter("last_began_at"), default=None)
    return ServerStatus(
        id=server.id,
        name=server.name,
        alias=server.alias,
        note=server.note,
        url=server.url,
        has_password=bool(server.encrypted_password),
        created_at=server.created_at,
        jobs=tuple(_job_status(server, job, now) for job in ordered),
        tags=tuple(server.tags),
        mute=_mute(server, now, is_of_server=True),
        duplicati=installed(latest.last_duplicati_version, newest) if latest else None,
        clock_ahead_s=server.clock_ahead_s,
    )


def _job_status(server: AnyRow, job: AnyRow, now: datetime) -> JobStatus:
    expected = job.next_expected_at
    watched = job.is_overdue_check_enabled and expected is not None
    return JobStatus(
        job_id=job.id,
        server_id=server.id,
        server_name=server.name,
        server_alias=server.alias,
        name=job.name,
        run_count=job.run_count,
        total_uploaded_bytes=job.total_uploaded_bytes,
        recent_statuses=job.recent_statuses,
        last_run_id=job.state_run_id,
        last_began_at=job.state_began_at,
        last_status=job.state_status or NONE,
        last_outcome=job.state_outcome,
        last_duration_s=job.state_duration_s,
        examined_files=job.last_examined_files,
        examined_bytes=job.last_examined_bytes,
        uploaded_bytes=job.last_uploaded_bytes,
        storage_bytes=job.last_storage_bytes,
        version_count=job.last_version_count,
        warning_count=job.state_warning_count,
        error_count=job.state_error_count,
        available_versions=job.last_available_versions,
        packed_versions=job.packed_versions or b"",
        unread_versions=job.unread_versions,
        not_told=job.not_told,
        has_mixed_ids=job.has_mixed_ids,
        newest=NewestRun(
            job.last_run_id,
            job.last_reported_began_at or job.last_began_at,
            job.last_status or NONE,
            job.last_outcome,
            job.last_duration_s,
            job.last_warning_count,
            job.last_error_count,
            job.last_broken_off_at,
        ),
        duplicati_version=job.last_duplicati_version,
        notification_event=job.notification_event,
        is_overdue_check_enabled=job.is_overdue_check_enabled,
        expected_interval=job.expected_interval,
        allowed_weekdays=job.allowed_weekdays,
        next_expected_at=expected,
        deadline_at=job.overdue_at,
        is_overdue=watched and is_overdue(job.overdue_at, now),
        overdue_alerted_at=job.overdue_alerted_at,
        operation=job.operation,
        recent_runs=job.recent_runs or b"",
        announced_next_at=job.announced_next_at,
        schedule_anchor_at=job.schedule_anchor_at,
        learned_schedule=job.learned_schedule,
        interval_source=job.interval_source,
        schedule_source=job.schedule_source,
        overdue_tolerance=job.overdue_tolerance,
        tags=tuple(job.tags),
        anomalies=tuple(Anomaly(**stored) for stored in job.anomalies if not stored.get("is_past")),
        growth_bytes=job.growth_bytes,
        quota_bytes=job.quota_bytes,
        reported_quota_bytes=job.last_quota_total_bytes,
        reported_free_bytes=job.last_quota_free_bytes,
        mute=_mute(job, now) or _mute(server, now, is_of_server=True),
        running_since_at=job.running_since_at,
        collected_error=job.collected_error,
        collected_error_at=job.collected_error_at,
    )


def _mute(muted: AnyRow, now: datetime, *, is_of_server: bool = False) -> Mute | None:
    """Return the current mute of a row of a job or a server, or None."""
    if not is_muted(muted.muted_until, now, since=muted.muted_from):
        return None
    return Mute(muted.muted_until, muted.mute_note, is_of_server)


def _summarise(servers: list[ServerStatus]) -> Summary:
    jobs = [job for server in servers for job in server.jobs if job.is_backup]
    return Summary(
        server_count=len(servers),
        job_count=len(jobs),
        run_count=sum(job.run_count for job in jobs),
        uploaded_bytes=sum(job.total_uploaded_bytes for job in jobs),
        storage_bytes=sum(job.storage_bytes for job in jobs),
        examined_bytes=sum(job.examined_bytes for job in jobs),
        overdue_count=sum(job.is_overdue for job in jobs),
        newest_began_at=max((job.last_began_at for job in jobs if job.last_began_at), default=None),
    )
