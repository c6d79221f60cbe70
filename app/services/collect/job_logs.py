"""Reads what one job of a Duplicati server has to tell: its runs, whether it is running, its versions."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from app.domain.collected import CollectedJob, UnreadableAnswer, read_log, sync_reports
from app.domain.job_metadata import find_active_task, read_task_start, read_versions
from app.domain.reports import SYNC, Report
from app.services import deployment
from app.services.collect.client import DatabaseLocked, Duplicati
from app.services.collect.failures import CollectFailure
from app.services.collect.job_owners import JobOwners, Owner
from app.services.collect.log_pages import log_pages
from app.services.collect.storing import find_running_since


@dataclass(slots=True)
class JobFindings:
    """What a job has told: its runs, what of its log cannot be used, and the entries as they came.

    `known` are the begins of the runs that were stored before. `failure` is why the rest of the log could not be had,
    after some of it was read. The owner is None until it is known.
    """

    owner: Owner | None
    reports: list[Report] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    entries: list[Any] = field(default_factory=list)
    known: frozenset[datetime] = frozenset()
    running_since_at: datetime | None = None
    failure: CollectFailure | None = None


def read_job(duplicati: Duplicati, job: CollectedJob, owners: JobOwners, now: datetime) -> JobFindings:
    """Read the runs of a job that are not known yet, and those beside them. Raises AppError when nothing can be had.

    A database that is locked by a run is no error; neither is a synchronisation, which has no log that can be read.
    """
    if job.operation == SYNC:
        return _read_sync(job, owners)
    if not job.duplicati_id:
        raise UnreadableAnswer("the list of jobs holds no id for it")
    findings = JobFindings(_guess(job, owners))
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
    owner = _guess(job, owners)
    reports = sync_reports(job, owners.machine)
    instants = {report.began_at for report in reports}
    if owner is None or not instants <= owners.known_runs(job, owner):
        owner = owners.ask(job, instants)
    return JobFindings(owner, list(_of(owner, reports)), known=owners.known_runs(job, owner))


def _guess(job: CollectedJob, owners: JobOwners) -> Owner | None:
    """The owner as far as it can be known before the runs of a job."""
    try:
        return owners.guess(job)
    except (CollectFailure, UnreadableAnswer):
        return None


def read_file_sets(duplicati: Duplicati, job: CollectedJob) -> tuple[str, ...] | None:
    """Return the times of the versions of a job, newest first; None where they cannot be had."""
    try:
        return read_versions(duplicati.file_sets(job.duplicati_id), deployment.settings().zone)
    except CollectFailure:
        return None


def _read_log(duplicati: Duplicati, job: CollectedJob, owners: JobOwners, findings: JobFindings, now: datetime) -> None:
    """Read a log to its end, as any of its runs may be known by a report, and an earlier reading broken off."""
    zone = deployment.settings().zone
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
    """Return when the task that locks a database began; where the server does not say so, when that was first seen."""
    try:
        task_id = find_active_task(duplicati.server_state(), job.duplicati_id)
        task = None if task_id is None else duplicati.task(task_id)
    except CollectFailure:
        task = None
    began_at = read_task_start(task, deployment.settings().zone)
    if began_at is not None:
        return min(began_at, now)
    return find_running_since(owner.server_id, job.name) or now
