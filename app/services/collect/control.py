"""Has a Duplicati run one of its jobs now, with the address and the password that are stored for it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.contracts.errors import AppError, NotFound
from app.domain.collected import CollectedJob, read_jobs
from app.extensions import db
from app.models import Job, Server
from app.services import deployment
from app.services.audit import Actor, record_entry
from app.services.collect.client import LIMITS, Duplicati, Limits
from app.services.collect.failures import CollectFailure, Reason
from app.services.collect.targets import Order, find_target
from app.services.visibility import ALL_SERVERS

# Reports name a job's number with this in front.
REPORTED_PREFIX = "DB-"


@dataclass(frozen=True, slots=True)
class Started:
    """A job that its Duplicati has begun, or will begin after what it is at."""

    server_name: str
    job_name: str
    task_id: int | None


def start_job(server_id: str, job_name: str, *, actor: Actor, now: datetime, limits: Limits = LIMITS) -> Started:
    """Have a job run now. Raises NotFound, AppError for a server that cannot be asked, CollectFailure.

    Only the start is waited for; how the run ended comes with its report.
    """
    server = db.session.get(Server, server_id)
    job = db.session.scalars(select(Job).where(Job.server_id == server_id, Job.name == job_name)).first()
    if server is None or job is None:
        raise NotFound("Server not found" if server is None else "This server has no such backup job")
    server_name, reported_id = server.display_name, job.duplicati_id.removeprefix(REPORTED_PREFIX)
    target = find_target(Order(server_id=server_id), ALL_SERVERS)
    details: dict[str, Any] = {"serverName": server_name, "backupName": job_name}
    place = {"target_type": "backup", "target_id": f"{server_id}:{job_name}"}
    try:
        with Duplicati(target.endpoint, limits) as duplicati:
            jobs, _problems = read_jobs(duplicati.backups(), deployment.settings().zone)
            answer = duplicati.start(_find(jobs, job_name, reported_id).duplicati_id)
    except AppError as error:
        told = details | {"error": error.message}
        record_entry("backup_started", "backup", now=now, actor=actor, status="error", details=told, **place)
        raise
    task_id = answer.get("ID") if isinstance(answer, dict) else None
    task_id = task_id if isinstance(task_id, int) else None
    record_entry("backup_started", "backup", now=now, actor=actor, details=details | {"taskId": task_id}, **place)
    return Started(server_name, job_name, task_id)


def _find(jobs: list[CollectedJob], name: str, reported_id: str) -> CollectedJob:
    """The job of that name; of several, the one with the number that was reported."""
    named = [job for job in jobs if job.name == name and job.duplicati_id]
    if not named:
        raise CollectFailure(Reason.NO_JOB, "The Duplicati server has no backup job of this name any more")
    return next((job for job in named if job.duplicati_id == reported_id), named[0])
