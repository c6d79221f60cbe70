"""Anomalies and growth of jobs, computed and stored with each new run."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from marshmallow import fields, validate
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.audit.log import Actor, record_entry
from app.backups.models import Job, JobDay
from app.backups.recent_runs import unpack_runs
from app.core.db.transaction import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Flag, Number, Setting, declare, whole
from app.insight.anomalies import Anomaly, Limits, follow_anomalies
from app.insight.forecasts import DAYS_SEEN, growth_a_day, weekly_points

LEAST_RUNS, DEVIATIONS, TIMES, PERCENT = (3, 30), (1, 100), (1.1, 1000), (1, 1000)


class LimitsValue(Exact):
    """Thresholds of unusual values."""

    is_enabled = Flag()
    tells = Flag()
    least_runs = whole(*LEAST_RUNS)
    deviations = Number(allow_nan=False, validate=validate.Range(*DEVIATIONS))
    times = Number(allow_nan=False, validate=validate.Range(*TIMES))
    percent = Number(allow_nan=False, validate=validate.Range(*PERCENT))


# What `Limits` holds; what is not named is as by default.
ANOMALY_LIMITS = declare(Setting("anomaly_limits", dict, default={}, shape=fields.Nested(LimitsValue)))


DAYS = JobDay.__table__
# Built once, for each upload in a new week.
STORED_DAYS = (
    select(DAYS.c.day, DAYS.c.last_storage_bytes)
    .where(DAYS.c.job_id == bindparam("job_id"))
    .order_by(DAYS.c.day.desc())
    .limit(DAYS_SEEN)
)


def limits() -> Limits:
    """Return the current limits."""
    return Limits.read(settings_store.get("anomaly_limits"))


def anomalies_of(recent_runs: bytes | None, before: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the anomalies of the last of a job's packed runs, as stored.

    `before` are the stored ones, of the same run or the one before it.
    """
    known = [Anomaly(**stored) for stored in before]
    return [anomaly.stored() for anomaly in follow_anomalies(unpack_runs(recent_runs), limits(), known)]


def growth_of(session: Session, job_id: int) -> float | None:
    """Return the growth of a job's destination in bytes per day, from recent months."""
    newest_first = [tuple(row) for row in session.execute(STORED_DAYS, {"job_id": job_id})]
    return growth_a_day(weekly_points((day, stored) for day, stored in reversed(newest_first)))


def change_limits(changes: Mapping[str, Any], *, actor: Actor, now: datetime) -> Limits:
    """Change some of the limits, and check the newest run of every job again.

    Returns all limits.
    """
    with writing() as session:
        changed = Limits.read(asdict(limits()) | dict(changes))
        settings_store.save("anomaly_limits", asdict(changed), now=now)
        for job in session.scalars(select(Job).where(Job.run_count > 0)):
            job.anomalies = anomalies_of(job.recent_runs, job.anomalies)
        record_entry("anomaly_limits_updated", "settings", now=now, actor=actor, details=asdict(changed))
    return changed


def change_quota(server_id: str, job_name: str, quota_bytes: int | None, *, actor: Actor, now: datetime) -> None:
    """Set the size of a job's destination; None uses the reported one.

    Raise Refused (404).
    """
    with writing() as session:
        job = session.scalar(select(Job).where(Job.server_id == server_id, Job.name == job_name))
        if job is None:
            raise Refused("job_not_found")
        job.quota_bytes = quota_bytes
        details = {"serverId": server_id, "backupName": job_name, "quotaBytes": quota_bytes}
        record_entry("quota_updated", "backup", now=now, actor=actor, target_type="server", details=details)
