"""Read the log, versions and state of a job; find the server it belongs to."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app import runtime
from app.backups.models import Job, Run, Server
from app.collector.client import DatabaseLocked, Duplicati, TooLarge
from app.collector.reachability import SILENCES_ALLOWED, SILENT, CollectFailure, Reason
from app.collector.responses import (
    CollectedJob,
    Machine,
    UnusableResponse,
    find_active_task,
    machine_of_job,
    read_log,
    read_settings,
    read_task_start,
    read_versions,
    sync_reports,
)
from app.collector.store import check_visible, find_running_since, known_runs, record_of
from app.core.db.orm import db
from app.core.errors import Refused
from app.reports.decoding import SYNC
from app.reports.parser import Report

# Duplicati's maximum and minimum number of entries per page.
LARGEST_PAGE, SMALLEST_PAGE = 500, 10
# Duplicati keeps thirty days: hourly runs are 720 entries, in the smallest pages 72.
MOST_ENTRIES, MOST_REQUESTS = 12_500, 150


def log_pages(duplicati: Duplicati, job_id: str) -> Iterator[Any]:
    """Yield the pages of a log until one is empty or has nothing new.

    Each entry once.

    Pages may be smaller than requested, since servers may have a lower limit. If a page is too large, half as many
    entries are requested. A response that is not a list is yielded unchanged. Raises CollectFailure and DatabaseLocked.
    """
    size, before_id, count = LARGEST_PAGE, None, 0
    for _request in range(MOST_REQUESTS):
        try:
            page = duplicati.log(job_id, size, before_id)
        except TooLarge:
            size = _smaller(size)
            continue
        if not isinstance(page, list):
            yield page
            return
        # A server that ignores `offset` starts again with the newest entry.
        new = [entry for entry in page if before_id is None or _is_before(entry, before_id)]
        if new or before_id is None:
            yield new
        ids = [number for number in map(_id_of, new) if number is not None]
        count += len(ids)
        if not ids or count >= MOST_ENTRIES:
            return
        before_id = min(ids)


def _smaller(size: int) -> int:
    if size <= SMALLEST_PAGE:
        raise CollectFailure(Reason.TOO_LARGE, Refused("job_log_too_large"))
    return max(size // 2, SMALLEST_PAGE)


def _is_before(entry: Any, entry_id: int) -> bool:
    number = _id_of(entry)
    return number is not None and number < entry_id


def _id_of(entry: Any) -> int | None:
    """Return the id of an entry, which may be a string."""
    number = entry.get("ID") if isinstance(entry, Mapping) else None
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 19:
        number = int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) else None


# The owner of a job: usually the server itself; another one if the job has its own machine settings

MOST_REMEMBERED = 10_000
MOST_COMPARED = 500


@dataclass(frozen=True, slots=True)
class Owner:
    """The record for the runs of a job, and the server's name in its reports."""

    server_id: str
    name: str

    @property
    def machine(self) -> Machine:
        """The identity as in reports."""
        return Machine(self.server_id, self.name)


class KnownOwners(dict[tuple[str, str], Owner]):
    """The owners found since the start, by server and the number that Duplicati gives the job."""


class JobOwners:
    """Determines the owners of the jobs of one server, with few requests.

    A job's own settings are requested if the job is new here, and before new runs of it are stored. The result is
    cached while the application runs.
    """

    def __init__(
        self, duplicati: Duplicati, machine: Machine, server_id: str, visible_server_ids: frozenset[str] | None
    ) -> None:
        self._duplicati = duplicati
        self._machine = machine
        self._own = Owner(server_id, machine.name)
        self._visible_server_ids = visible_server_ids
        self._asked: set[str] = set()
        self._failures: dict[str, CollectFailure | UnusableResponse] = {}
        self._silences = 0
        self._remembered = runtime.part(KnownOwners)

    @property
    def machine(self) -> Machine:
        """The identity of the server itself."""
        return self._own.machine

    def find_or_ask(self, job: CollectedJob) -> Owner:
        """Return the known owner, or that of `ask`. Raise as `ask`."""
        return self.find(job) or self.ask(job)

    def find(self, job: CollectedJob) -> Owner | None:
        """Return the known owner. Raise Refused (403).

        None for a new job, or if the record of the cached owner does not exist (any more).
        """
        owner = self._remembered.get((self._own.server_id, job.duplicati_id))
        if owner is not None and not self._has_record(owner):
            return None
        if owner is None and (not job.duplicati_id or self._is_known(job)):
            owner = self._own
        return None if owner is None else self._checked(owner)

    def ask(self, job: CollectedJob, instants: Collection[datetime] = ()) -> Owner:
        """Return the owner by the job's own settings.

        If they are not available, it is the cached owner, or the one that has runs of the job that began at any of
        `instants`. Raises Refused (403), and CollectFailure or UnreadableAnswer if there is none.
        """
        key = (self._own.server_id, job.duplicati_id)
        if not job.duplicati_id:
            return self._own
        if job.duplicati_id not in self._asked:
            self._asked.add(job.duplicati_id)
            try:
                self._remember(key, self._owner_by(machine_of_job(self._machine, self._settings_of(job))))
            except (CollectFailure, UnusableResponse) as failure:
                self._failures[job.duplicati_id] = failure
        owner = self._remembered.get(key) or self._owner_of_runs(job, instants)
        if owner is None:
            raise self._failures[job.duplicati_id]
        return self._checked(owner)

    def known_runs(self, job: CollectedJob, owner: Owner) -> frozenset[datetime]:
        """Return the start times of the known runs of a job.

        Includes runs stored before it had an owner of its own.
        """
        own = known_runs(self._own.server_id, job.name)
        return own if owner.server_id == self._own.server_id else own | known_runs(owner.server_id, job.name)

    def _settings_of(self, job: CollectedJob) -> dict[str, str]:
        if self._silences >= SILENCES_ALLOWED:
            raise CollectFailure(Reason.TIMEOUT, Refused("job_settings_skipped"))
        try:
            backup = self._duplicati.backup(job.duplicati_id)
        except CollectFailure as failure:
            self._silences += failure.reason in SILENT
            raise
        return read_settings(backup) or {}

    def _owner_of_runs(self, job: CollectedJob, instants: Collection[datetime]) -> Owner | None:
        """Return the only record with runs of this job name that began at given instants."""
        sent_at = func.coalesce(Run.reported_began_at, Run.began_at)
        wanted = (
            select(Server.id, Server.name)
            .join(Job, Job.server_id == Server.id)
            .join(Run, Run.job_id == Job.id)
            .where(Job.name == job.name, sent_at.in_(sorted(instants)[-MOST_COMPARED:]))
            .distinct()
        )
        found = db.session.execute(wanted).all() if instants else []
        db.session.commit()
        return Owner(found[0].id, found[0].name) if len(found) == 1 else None

    def _remember(self, key: tuple[str, str], owner: Owner) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = owner

    def is_certain(self, job: CollectedJob) -> bool:
        """Return whether the job's settings were requested in this session."""
        return job.duplicati_id in self._asked

    def _owner_by(self, machine: Machine) -> Owner:
        if machine.id == self._machine.id and (machine.id or machine.name == self._machine.name):
            return Owner(self._own.server_id, machine.name)
        return Owner(record_of(machine), machine.name)

    def _is_known(self, job: CollectedJob) -> bool:
        found = db.session.scalar(
            select(Job.id).where(Job.server_id == self._own.server_id, Job.name == job.name).limit(1)
        )
        db.session.commit()
        return found is not None

    def _has_record(self, owner: Owner) -> bool:
        if owner.server_id == self._own.server_id:
            return True
        found = db.session.scalar(select(Server.id).where(Server.id == owner.server_id))
        db.session.commit()
        return found is not None

    def _checked(self, owner: Owner) -> Owner:
        if owner.server_id != self._own.server_id:
            check_visible(owner.server_id, self._visible_server_ids)
        return owner


# Runs, state and versions of one job


@dataclass(slots=True)
class JobFindings:
    """The runs of a job, unusable entries of its log, and the raw entries.

    `known` are the start times of the runs stored before. `failure` is why the rest of the log was not available, after
    a part of it. The owner is None until it is known.
    """

    owner: Owner | None
    reports: list[Report] = field(default_factory=list)
    problems: list[Refused] = field(default_factory=list)
    entries: list[Any] = field(default_factory=list)
    known: frozenset[datetime] = frozenset()
    running_since_at: datetime | None = None
    failure: CollectFailure | None = None


def read_job(duplicati: Duplicati, job: CollectedJob, owners: JobOwners, now: datetime) -> JobFindings:
    """Read the unknown runs of a job, and neighbouring ones.

    Raise Refused without any data.

    A database that is locked by a run is no error; neither is a synchronisation, which has no readable log.
    """
    if job.operation == SYNC:
        return _read_sync(job, owners)
    if not job.duplicati_id:
        raise UnusableResponse("answer_without_job_id")
    findings = JobFindings(_known_owner(job, owners))
    try:
        _read_log(duplicati, job, owners, findings, now)
    except DatabaseLocked:
        findings.owner = findings.owner or owners.ask(job)
        findings.running_since_at = _running_since(duplicati, job, findings.owner, now)
    except CollectFailure as failure:
        if not findings.entries:
            raise
        findings.failure = failure
    return findings


def _read_sync(job: CollectedJob, owners: JobOwners) -> JobFindings:
    owner = _known_owner(job, owners)
    reports = sync_reports(job, owners.machine)
    instants = {report.began_at for report in reports}
    if owner is None or not instants <= owners.known_runs(job, owner):
        owner = owners.ask(job, instants)
    return JobFindings(owner, list(_of(owner, reports)), known=owners.known_runs(job, owner))


def _known_owner(job: CollectedJob, owners: JobOwners) -> Owner | None:
    """Return the owner as far as it is known before the runs of a job are read."""
    try:
        return owners.find_or_ask(job)
    except (CollectFailure, UnusableResponse):
        return None


def read_file_sets(duplicati: Duplicati, job: CollectedJob) -> tuple[str, ...] | None:
    """Return the times of a job's versions, newest first; None if not available."""
    try:
        return read_versions(duplicati.file_sets(job.duplicati_id), runtime.settings().zone)
    except CollectFailure:
        return None


def _read_log(duplicati: Duplicati, job: CollectedJob, owners: JobOwners, findings: JobFindings, now: datetime) -> None:
    """Read a log to its end.

    Some of its runs may be known from reports, and an earlier collection may be incomplete.
    """
    zone = runtime.settings().zone
    if findings.owner is not None:
        findings.known = owners.known_runs(job, findings.owner)
    for page in log_pages(duplicati, job.duplicati_id):
        found = read_log(page, owners.machine, job, received_at=now, zone=zone)
        instants = {report.began_at for report in found.reports}
        if findings.owner is None or (not instants <= findings.known and not owners.is_certain(job)):
            findings.owner = owners.ask(job, instants)
            findings.known = owners.known_runs(job, findings.owner)
        findings.reports += _of(findings.owner, found.reports)
        findings.problems += found.problems
        findings.entries += page


def _of(owner: Owner, reports: Iterable[Report]) -> list[Report]:
    return [replace(report, server_id=owner.server_id, server_name=owner.name) for report in reports]


def _running_since(duplicati: Duplicati, job: CollectedJob, owner: Owner, now: datetime) -> datetime:
    """Return when the task that locks a database began, or the lock was first seen."""
    try:
        task_id = find_active_task(duplicati.server_state(), job.duplicati_id)
        task = None if task_id is None else duplicati.task(task_id)
    except CollectFailure:
        task = None
    began_at = read_task_start(task, runtime.settings().zone)
    if began_at is not None:
        return min(began_at, now)
    return find_running_since(owner.server_id, job.name) or now
