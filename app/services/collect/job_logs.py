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
from app.services.collect.storing import KnownRuns, find_running_since, known_runs


@dataclass(slots=True)
class JobFindings:
    """What a job has told: its runs, what of its log cannot be used, and the entries as they came.

    `failure` is why the rest of the log could not be had, after some of it was read.
    """

    owner: Owner
    reports: list[Report] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    entries: list[Any] = field(default_factory=list)
    running_since_at: datetime | None = None
    failure: CollectFailure | None = None


def read_job(duplicati: Duplicati, job: CollectedJob, owners: JobOwners, now: datetime) -> JobFindings:
    """Read the runs of a job that are not known yet, and those beside them. Raises AppError when nothing can be had.

    A database that is locked by a run is no error; neither is a synchronisation, which has no log that can be read.
    """
    owner = owners.guess(job)
    if job.operation == SYNC:
        reports = sync_reports(job, owner.machine)
        known = known_runs(owner.server_id, job.name).instants
        if any(report.began_at not in known for report in reports):
            owner = owners.ask(job)
        return JobFindings(owner, _of(owner, reports))
    findings = JobFindings(owner)
    if not job.duplicati_id:
        raise UnreadableAnswer("the list of jobs holds no id for it")
    try:
        _read_log(duplicati, job, owners, findings, now)
    except DatabaseLocked:
        findings.running_since_at = _running_since(duplicati, job, owner, now)
    except CollectFailure as failure:
        if not findings.entries:
            raise
        findings.failure = failure
    return findings


def read_file_sets(duplicati: Duplicati, job: CollectedJob) -> tuple[str, ...] | None:
    """Return the times of the versions of a job, newest first; None where they cannot be had."""
    try:
        return read_versions(duplicati.file_sets(job.duplicati_id), deployment.settings().zone)
    except CollectFailure:
        return None


def _read_log(duplicati: Duplicati, job: CollectedJob, owners: JobOwners, findings: JobFindings, now: datetime) -> None:
    """Read the pages of a log until one holds nothing new."""
    zone = deployment.settings().zone
    known = known_runs(findings.owner.server_id, job.name)
    for page in log_pages(duplicati, job.duplicati_id):
        found = read_log(page, findings.owner.machine, job, received_at=now, zone=zone)
        has_news = any(report.began_at not in known.instants for report in found.reports)
        if has_news and not owners.is_certain(job):
            findings.owner = owners.ask(job)
            known = known_runs(findings.owner.server_id, job.name)
        reports = _of(findings.owner, found.reports)
        findings.reports += reports
        findings.problems += found.problems
        findings.entries += page
        if _is_end_known(reports, known):
            return


def _is_end_known(reports: list[Report], known: KnownRuns) -> bool:
    """Whether all runs of a page are stored, and older ones too: else a collection may have broken off after it."""
    oldest = known.oldest
    if not reports or oldest is None or any(report.began_at not in known.instants for report in reports):
        return False
    return oldest < min(report.began_at for report in reports)


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
